"""Supervises a claimed run: starts its training process, keeps the lease, relays a cancel, and settles the end.

Or several that are trained together: each is renewed, cancelled and settled by itself, and leaves its process while
the others go on.

The process itself records epochs, and success or a halt by its diagnosis; every other end is written here, after the
process is gone. Each write is guarded by the fencing token, so where the two disagree (a cancel that comes with the
last epoch, a lease lost while an epoch is recorded) the first to write is right and the other is refused.
"""

import logging
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Engine

from store.core.db import transaction
from store.core.errors import DatabaseUnavailable, LeaseLost
from store.core.settings import Settings
from store.operations import tracing
from store.runs import endings, leases
from store.runs.claims import Claim
from store.runs.leases import RenewResult
from worker import group_folders
from worker.host.attempt_log import AttemptLog, SharedLog
from worker.host.gpu_allocator import GpuShare
from worker.host.process import Started, TrainingProcess
from worker.host.spare import Spare
from worker.host.stall_detector import StallDetector, StallLimits
from worker.messages import Command, Event, Failed, Fellow, HandedBack, Stepped, Ticket, drop_command

TRAINING = (sys.executable, "-m", "worker.attempt.training")
TICK_S = 0.2  # how soon a stop of the worker is noticed while the training is silent
STORE_LOG_INTERVAL_S = 2.0  # how far behind a follower of the log is
STORE_LOG_RETRY_S = 10.0  # a database that is gone is waited for by the heartbeat already
REPORT_INTERVAL_S = 1.0  # a live progress bar moves once a second
RETRY_INTERVAL_S = 1.0  # between heartbeats while the database does not answer
TERMINATE_GRACE_S = 2.0  # from SIGTERM, on which the process logs where it is, to SIGKILL
LOG_LINES = 40  # of the log in the error of a lost attempt: a traceback and what led to it

Reason = Literal["stalled", "stopped", "paused", "out of time", "cancelled", "not ours"]
NEWS: dict[Reason, str] = {
    "stalled": "was silent for too long",
    "stopped": "is to be handed over: this worker stops",
    "paused": "is to be paused, and does not come to the end of its epoch in time",
    "out of time": "is past the time that its spec allows, and does not come to the end of its epoch",
    "cancelled": "is to be cancelled",
    "not ours": "has ended, or is somebody else's",
}
RANK: dict[Reason | None, int] = {reason: rank for rank, reason in enumerate((None, *NEWS))}
"""A reason to end a training gives way to a higher one: who cancels wants no other attempt, and a run that is no
longer ours has ended or belongs to somebody else."""
COMMANDS: dict[Reason, Command] = {
    "stopped": "stop",
    "paused": "stop",
    "out of time": "stop",
    "cancelled": "cancel",
    "not ours": "stop",
}
"""What is said first; a stalled training would not hear it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a training process ended."""

    reason: Reason | None
    """Why it was told or made to end; None: it ended by itself."""
    failure: Failed | None
    """What it said before."""
    status: int
    """Exit status; negative: the signal that killed it."""
    log_tail: str


def supervise(
    claim: Claim,
    is_stopping: Callable[[], bool],
    share: GpuShare | None = None,
    *,
    engine: Engine,
    settings: Settings,
    command: Sequence[str] = TRAINING,
    spare: Spare | None = None,
) -> bool:
    """Trains one attempt of the claimed run to whatever end; hands it over once `is_stopping()` is true.

    `share` is what it has to train on; without one, the device of the settings. `spare` may have a process in reserve.
    Whether it failed for want of something that another host may have.

    Raises:
        DatabaseUnavailable: the end could not be written; the lease will expire instead.
    """
    attributes = {tracing.RUN: claim.run_id, tracing.ATTEMPT: claim.attempt}
    with tracing.span("attempt", attributes, traceparent=claim.traceparent) as span:
        share = share or GpuShare(device=settings.device)
        started = None if spare is None else spare.take()
        watch = _train(claim, is_stopping, share, engine=engine, settings=settings, command=command, started=started)
        end = watch.end
        logger.info("ended its process with status %d", end.status)
        group_folders.delete(settings.home, claim.run_id, claim.attempt)
        if end.reason is None and end.status != 0:
            span.fail(describe_loss(end)[0])
        span.note({"ganclinic.end": end.reason or "by itself", "process.exit.code": end.status})
        if end.reason != "not ours":
            for held in watch.held:
                with suppress(LeaseLost):  # as it should be after a success, which the process has written
                    settle(held, end, engine=engine, max_attempts=settings.max_attempts)
    return watch.lacks_something


def _train(
    claim: Claim,
    is_stopping: Callable[[], bool],
    share: GpuShare,
    *,
    engine: Engine,
    settings: Settings,
    command: Sequence[str],
    started: Started | None,
) -> "_Watch":
    ticket = Ticket(
        run_id=claim.run_id,
        token=claim.token,
        attempt=claim.attempt,
        device=share.device,
        more_devices=share.more_devices,
        gpu_memory=share.gpu_memory,
        bf16_speedup=share.bf16_speedup,
        traceparent=tracing.current_traceparent(),
        is_stacked=claim.is_stacked,
        fellows=tuple(
            Fellow(run_id=other.run_id, token=other.token, attempt=other.attempt, traceparent=other.traceparent)
            for other in claim.fellows
        ),
    )
    claims = (claim, *claim.fellows)
    log = SharedLog({c.run_id: AttemptLog(settings.logs, c.run_id, c.attempt, engine=engine) for c in claims})
    with closing(log), TrainingProcess(command, ticket, log, started=started) as process:
        watch = _Watch(claims, is_stopping, engine=engine, settings=settings, process=process, log=log)
        watch.until_end()
        return watch


def settle(claim: Claim, end: End, *, engine: Engine, max_attempts: int) -> None:
    """Writes the end of an attempt whose process is gone.

    Raises:
        LeaseLost: the run has ended already, or somebody else holds it.
    """
    run_id, token = claim.run_id, claim.token
    with transaction(engine) as session:
        match end:
            case End(reason="cancelled"):
                endings.finish(session, run_id, token, "cancelled")
            case End(failure=Failed(kind=kind, error=error, is_final=True)):
                endings.finish(session, run_id, token, "failed", error=error, error_kind=kind)
            case End(reason="out of time"):
                endings.time_out(session, run_id, token)
            case End(reason="stopped" | "paused" as reason):  # it becomes paused where that is still asked for
                endings.hand_over(session, run_id, token, was_to_pause=reason == "paused")
            case _:
                kind, error = describe_loss(end)
                endings.requeue(session, run_id, token, error=error, error_kind=kind, max_attempts=max_attempts)


def describe_loss(end: End) -> tuple[str, str]:
    """Kind and text of the error of an attempt that was lost."""
    if end.failure is not None:
        return end.failure.kind, end.failure.error
    kind = "TrainingDied"
    if end.reason == "stalled":
        kind, error = "TrainingStalled", "the training process was silent for too long"
    elif end.status < 0:
        error = f"the training process was killed by signal {-end.status} ({signal.strsignal(-end.status)})"
    else:
        error = f"the training process ended with exit status {end.status}"
    return kind, f"{error}; its last log lines:\n{end.log_tail}" if end.log_tail else error


class _Watch:
    """Watches one training process until it has ended, and ends it where there is a reason to."""

    def __init__(
        self,
        claims: Sequence[Claim],
        is_stopping: Callable[[], bool],
        *,
        engine: Engine,
        settings: Settings,
        process: TrainingProcess,
        log: SharedLog,
    ) -> None:
        self._held = {claim.run_id: claim for claim in claims}
        """The runs that the process trains, by id."""
        self._left: dict[str, tuple[Claim, End]] = {}
        """Those that have left it, and how that is to be written."""
        self._is_stopping, self._log = is_stopping, log
        self._engine, self._settings, self._process = engine, settings, process
        now = time.monotonic()
        self._stall_detector = StallDetector(_stall_limits(settings), now)
        self._heartbeat_at = now + settings.heartbeat_interval.total_seconds()
        self._report_at = self._store_log_at = self._beat_at = now
        self._step: int | None = None
        """The latest step that the database does not know of."""
        self._failure: Failed | None = None
        self.lacks_something = False
        """Whether a run failed for want of something that another host may have."""
        self._reason: Reason | None = None
        self._pause_by: dict[str, float] = {}
        """When a training that is to pause has had enough time to end its epoch, by run."""
        self._alarms: deque[tuple[float, signal.Signals]] = deque()
        """Signals to send, and when."""
        self.end = End(reason=None, failure=None, status=0, log_tail="")
        """How the process ended, once it has."""

    @property
    def held(self) -> tuple[Claim, ...]:
        """The runs that the process trained to its end."""
        return tuple(self._held.values())

    def until_end(self) -> None:
        while not self._process.has_ended():
            self._hear(TICK_S)
            self._keep_lease()
            self._settle_left()
            self._store_log()
            if self._is_stopping():
                self._end("stopped")
            if self._stall_detector.is_stall(time.monotonic()):
                self._end("stalled")
            self._sound_alarms()
        status = self._process.kill()
        self._hear(0)
        self._settle_left()
        self._log.store()
        self.end = End(reason=self._reason, failure=self._failure, status=status, log_tail=self._log.tail(LOG_LINES))

    def _hear(self, timeout_s: float) -> None:
        for heard in self._process.hear(timeout_s):
            self._stall_detector.hear(heard.event, heard.at)
            self._take_note(heard.event)

    def _take_note(self, event: Event) -> None:
        match event:
            case Stepped(step=step):
                self._step = step
            case Failed(run_id=run_id, is_local=is_local):
                self.lacks_something = self.lacks_something or is_local
                if run_id is None or list(self._held) == [run_id]:
                    self._failure = event
                else:  # one that has left already is no longer held, and stays as it was settled
                    self._let_go(run_id, End(reason=None, failure=event, status=0, log_tail=""))
            case HandedBack(run_id=run_id):
                self._let_go(run_id, End(reason="stopped", failure=None, status=0, log_tail=""))
            case _:
                pass

    def _keep_lease(self) -> None:
        now = time.monotonic()
        has_news = self._step is not None and now >= self._report_at
        if self._reason == "not ours" or (not has_news and now < self._heartbeat_at):
            return
        try:
            renewed = self._renew()
        except DatabaseUnavailable as error:  # training goes on: what it may not write, the token refuses
            logger.warning("heartbeat failed: %s", error)
            self._heartbeat_at = self._report_at = time.monotonic() + RETRY_INTERVAL_S
        else:
            self._step = None
            self._heartbeat_at = now + self._settings.heartbeat_interval.total_seconds()
            self._report_at = now + REPORT_INTERVAL_S
            for run_id, wanted in renewed.items():
                reason = "not ours" if wanted is None else self._reason_to_end(run_id, wanted)
                if reason == "paused" and wanted is not None and wanted.gives_way:
                    self._end(reason)  # of all: without one of its runs the process would keep its place
                elif reason is not None:
                    self._end_run(run_id, reason)

    def _reason_to_end(self, run_id: str, wanted: RenewResult) -> Reason | None:
        """A cancel; or an epoch that is too long, for at its end the training itself looks what is asked for."""
        patience_s, now = self._settings.pause_patience.total_seconds(), time.monotonic()
        if not wanted.pause_requested:
            self._pause_by.pop(run_id, None)
        pause_by = self._pause_by.setdefault(run_id, now + patience_s) if wanted.pause_requested else None
        if wanted.cancel_requested:
            return "cancelled"
        if wanted.seconds_left is not None and -wanted.seconds_left >= patience_s:
            return "out of time"
        return "paused" if pause_by is not None and now >= pause_by else None

    def _end_run(self, run_id: str, reason: Reason) -> None:
        """Ends the training of a run: that of all, where there is no other."""
        if len(self._held) == 1:
            self._end(reason)
        else:
            logger.info("run %s %s", run_id, NEWS[reason])
            self._let_go(run_id, End(reason=reason, failure=None, status=0, log_tail=""))

    def _let_go(self, run_id: str, end: End) -> None:
        """The process goes on without a run, whose end is written now: what it may still write, the token refuses."""
        claim = self._held.pop(run_id, None)
        if claim is None:
            return
        self._process.send(drop_command(run_id))
        self._log.leave(run_id)
        if end.reason != "not ours":
            self._left[run_id] = claim, end
        self._settle_left()

    def _settle_left(self) -> None:
        for run_id, (claim, end) in list(self._left.items()):
            try:
                with suppress(LeaseLost):
                    settle(claim, end, engine=self._engine, max_attempts=self._settings.max_attempts)
            except DatabaseUnavailable as error:  # until its lease expires
                logger.warning("the end of run %s is not written yet: %s", run_id, error)
                return
            del self._left[run_id]

    def _store_log(self) -> None:
        if time.monotonic() >= self._store_log_at:
            is_stored = self._log.store()
            self._store_log_at = time.monotonic() + (STORE_LOG_INTERVAL_S if is_stored else STORE_LOG_RETRY_S)

    def _renew(self) -> dict[str, RenewResult | None]:
        """Renews the leases and reports progress; what is asked for, by run, and None where it is not ours."""
        renewed: dict[str, RenewResult | None] = {}
        is_heartbeat = time.monotonic() >= self._beat_at
        with transaction(self._engine, durable=False) as session:
            for run_id, claim in sorted(self._held.items()):  # always in this order: two transactions cannot deadlock
                renewed[run_id] = None
                with suppress(LeaseLost):
                    renewed[run_id] = leases.renew(
                        session,
                        run_id,
                        claim.token,
                        self._settings.lease_duration,
                        step=self._step,
                        is_heartbeat=is_heartbeat,
                    )
        if is_heartbeat:
            self._beat_at = time.monotonic() + self._settings.heartbeat_interval.total_seconds()
        return renewed

    def _end(self, reason: Reason) -> None:
        """Begins to end the training: by a command, then SIGTERM, then SIGKILL."""
        if RANK[reason] <= RANK[self._reason]:
            return
        logger.info("%s", NEWS[reason])
        self._reason = reason
        terminate_at = time.monotonic()
        if reason in COMMANDS:
            self._process.send(COMMANDS[reason])
            terminate_at += self._settings.cancel_grace.total_seconds()
        if not self._alarms:
            kill_at = terminate_at + TERMINATE_GRACE_S
            self._alarms.extend([(terminate_at, signal.SIGTERM), (kill_at, signal.SIGKILL)])

    def _sound_alarms(self) -> None:
        while self._alarms and time.monotonic() >= self._alarms[0][0]:
            _, number = self._alarms.popleft()
            self._process.signal(number)


def _stall_limits(settings: Settings) -> StallLimits:
    return StallLimits(
        stall_factor=settings.stall_factor,
        stall_minimum=settings.stall_minimum,
        start_timeout=settings.start_timeout,
    )
