"""A run from its claim to its end: every write is an UPDATE guarded by the fencing token.

    queued ─claim→ running ─finish→ succeeded | failed | cancelled | halted
       ↑              ├─hand_over→ queued            its worker is stopped: does not count
       │              ├─pause→ paused ─resume→ queued  as was asked for: does not count; see `pauses`
       │              ├─pause→ queued                for another run: does not count; see `preemption`
       │              ├─time_out→ failed             its time is used up: see `attempts`
       └──────────────┴─requeue, requeue_expired→    lost: queued again, failed once too many are lost

Where a cancel was asked for, a run that would be queued again is cancelled instead; where a pause was, it is paused.
Whatever ends a run that a treatment made also stores what follows, in the same transaction: see `treatments.go_on`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import ColumnElement, case, func, null, select, update
from sqlalchemy.orm import Session

from ganlib.spec.run import ComparisonSpec, RunSpec
from store.core.db import after, now
from store.core.errors import LeaseLost
from store.core.models import FINAL_STATUSES, Attempt, AttemptOutcome, Kind, Run, Status
from store.runs.attempts import TIME_LIMIT, describe_time_limit, seconds_left, since_extended
from store.scheduling import fair_share, owners, preemption, quotas, workers
from store.scheduling.accounts import EQUAL, Sharing
from store.scheduling.fair_share import QueueHead
from store.scheduling.requirements import Place, requests_of, suits
from store.treatments import go_on

Outcome = Literal["succeeded", "failed", "cancelled", "halted"]
SPECS: dict[Kind, type[RunSpec] | type[ComparisonSpec]] = {"training": RunSpec, "comparison": ComparisonSpec}
"""What the spec of a run of each kind has to be."""
NO_LEASE = {"lease_worker": null(), "lease_expires_at": null(), "gives_way_to": null()}
UNCOUNTED: tuple[AttemptOutcome, ...] = ("handed over", "paused", "gave way")
"""How attempts end that say nothing of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run that is ours until its lease expires."""

    run_id: str
    token: int
    attempt: int
    spec: RunSpec | ComparisonSpec
    traceparent: str | None = None
    """The trace that it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewResult:
    """What a worker learns when it renews its lease."""

    cancel_requested: bool
    pause_requested: bool
    """Or it is to give way to another run, as `pause` does, too."""
    seconds_left: float | None
    """For which the run may still be trained: see `attempts.seconds_left`."""


def claim(
    session: Session, worker: str, lease: timedelta, sharing: Sharing = EQUAL, place: Place | None = None
) -> Claim | None:
    """The queued run whose turn it is (see `share`), for this worker alone; None without one that may run.

    A drained worker is given none. A run whose stored spec no longer validates, or whose time is used up, is failed on
    the way. A run that the place could never take is left to others; for one that it has no room for now nothing else
    is claimed either, or those that need much would never be trained.
    """
    while (run := _claim_with_room(session, worker, lease, sharing, place)) is not None:
        session.add(
            Attempt(
                run_id=run.id,
                number=run.attempt,
                token=run.token,
                worker=worker,
                started_at=now(),
                outcome="running",
            )
        )
        session.flush()
        try:
            spec = SPECS[run.kind].model_validate(run.spec)
        except ValidationError as error:  # stored by another version of this code: it must not block the queue
            finish(session, run.id, run.token, "failed", error=str(error), error_kind="InvalidSpec")
            continue
        if is_out_of_time(session, run):
            time_out(session, run.id, run.token)
            continue
        return Claim(run_id=run.id, token=run.token, attempt=run.attempt, spec=spec, traceparent=run.traceparent)
    return None


def _claim_with_room(
    session: Session, worker: str, lease: timedelta, sharing: Sharing, place: Place | None
) -> Run | None:
    if place is None:
        return _claim_next(session, worker, lease, sharing)
    with session.begin_nested() as savepoint:
        suitable = suits(most_gpus=place.most_gpus, largest_gpu=place.largest_gpu, labels=place.labels)
        run = _claim_next(session, worker, lease, sharing, *suitable)
        if run is None or place.takes(requests_of(run.spec)):
            return run
        savepoint.rollback()
    return None


def _claim_next(
    session: Session, worker: str, lease: timedelta, sharing: Sharing, *guards: ColumnElement[bool]
) -> Run | None:
    if workers.is_drained(session, worker):
        return None
    waiting = fair_share.heads(session, sharing)
    while waiting:
        head, *waiting = waiting
        run = _claim_within_quota(session, head, worker, lease, sharing, *guards)
        if run is not None:
            return run
        # Held back by a quota, not for this worker, or claimed by somebody else since.
        lower = fair_share.below(session, head)
        waiting = waiting if lower is None else fair_share.merged(waiting, lower)
    return None


def _claim_within_quota(
    session: Session, head: QueueHead, worker: str, lease: timedelta, sharing: Sharing, *guards: ColumnElement[bool]
) -> Run | None:
    owner = head.use.owner
    if not quotas.holds_back(owner, sharing):
        return _claim_of(session, head, worker, lease, *guards)
    if quotas.reached(session, owner, sharing) is not None:
        return None
    with session.begin_nested() as savepoint:
        quotas.lock(session, owner, sharing)  # of two claims at once, the second counts what the first has taken
        if quotas.reached(session, owner, sharing) is None:
            run = _claim_of(session, head, worker, lease, *guards)
            if run is not None:
                return run
        savepoint.rollback()  # lets the owners go: held while others are locked, two claims could wait in a circle
    return None


def _claim_of(
    session: Session, head: QueueHead, worker: str, lease: timedelta, *guards: ColumnElement[bool]
) -> Run | None:
    next_run = (
        select(Run.id)
        .where(Run.status == "queued", Run.owner == head.use.owner.id, Run.priority == head.priority, *guards)
        .order_by(Run.created_at, Run.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # PostgreSQL only; on SQLite the transaction holds the one write lock
    )
    return update_run(
        session,
        Run.id == next_run.scalar_subquery(),
        Run.status == "queued",
        status="running",
        attempt=Run.attempt + 1,
        token=Run.token + 1,
        started_at=func.coalesce(Run.started_at, now()),
        lease_worker=worker,
        lease_expires_at=after(lease),
    )


def update_run(session: Session, *guards: ColumnElement[bool], **values: Any) -> Run | None:
    """The run with these columns set; None when no row passed every guard, and nothing was written."""
    statement = update(Run).where(*guards).values(values).returning(Run)
    return session.scalars(
        statement, execution_options={"synchronize_session": False, "populate_existing": True}
    ).one_or_none()


def held(run_id: str, token: int) -> tuple[ColumnElement[bool], ...]:
    """The guards of a write: the run is running, and the token is its newest."""
    return Run.id == run_id, Run.token == token, Run.status == "running"


def update_held(session: Session, run_id: str, token: int, **values: Any) -> Run:
    """The run with these columns set.

    Raises:
        LeaseLost: the token no longer holds it; nothing was written.
    """
    run = update_run(session, *held(run_id, token), **values)
    if run is None:
        raise LeaseLost(run_id, token)
    return run


def require_held(session: Session, run_id: str, token: int) -> Run:
    """The run, which nobody else changes before this transaction ends.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    return update_held(session, run_id, token, step=Run.step)  # an UPDATE, for it locks the row in both databases


def renew(
    session: Session, run_id: str, token: int, lease: timedelta, *, step: int | None = None, is_heartbeat: bool = True
) -> RenewResult:
    """Keeps the run for another `lease`, counted from now, and stores the last step made, where it is given.

    `is_heartbeat`: says that the worker is alive, too, which need not be as often.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    progress = {} if step is None else {"step": step}
    run = update_held(session, run_id, token, lease_expires_at=after(lease), **progress)
    if is_heartbeat and run.lease_worker is not None:
        workers.beat(session, run.lease_worker)
    gives_way_to = preemption.still_wanted_by(session, run)
    return RenewResult(
        cancel_requested=run.cancel_requested,
        pause_requested=run.pause_requested or gives_way_to is not None,
        seconds_left=seconds_left(session, run),
    )


def finish(
    session: Session,
    run_id: str,
    token: int,
    outcome: Outcome,
    *,
    error: str | None = None,
    error_kind: str | None = None,
) -> None:
    """Ends the run and its attempt.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = update_held(
        session,
        run_id,
        token,
        status=outcome,
        finished_at=now(),
        error=error,
        error_kind=error_kind,
        pause_requested=False,
        **NO_LEASE,
    )
    _end_attempt(session, run, token, outcome, error)
    go_on(session, run)


def is_out_of_time(session: Session, run: Run) -> bool:
    """Whether the run has been trained for as long as its spec allows."""
    left = seconds_left(session, run)
    return left is not None and left <= 0


def time_out(session: Session, run_id: str, token: int) -> None:
    """Ends the run and its attempt, for its time is used up. What it has recorded stays.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = require_held(session, run_id, token)
    finish(session, run_id, token, "failed", error=describe_time_limit(run), error_kind=TIME_LIMIT)


def _end_attempt(session: Session, run: Run, token: int, outcome: AttemptOutcome, error: str | None) -> None:
    ended = session.scalars(
        update(Attempt)
        .where(Attempt.run_id == run.id, Attempt.token == token, Attempt.outcome == "running")
        .values(outcome=outcome, ended_at=now(), error=error)
        .returning(Attempt),
        execution_options={"synchronize_session": False, "populate_existing": True},
    ).one_or_none()
    if ended is None:
        raise LeaseLost(run.id, token)
    owners.charge(session, run, ended)


def should_pause(session: Session, run: Run) -> bool:
    """Whether somebody asked for a pause of the running run, or it is to give way to one that still waits."""
    return run.pause_requested or preemption.wanted_by(session, run) is not None


def hand_over(session: Session, run_id: str, token: int, *, was_to_pause: bool = False) -> Status:
    """Gives the run back because its worker is stopped; the attempt does not count. Its status afterwards.

    `was_to_pause`: because it did not come to the end of its epoch in time, after which it would have been paused.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    gives_way_to = preemption.wanted_by(session, require_held(session, run_id, token)) if was_to_pause else None
    run = update_held(session, run_id, token, **_ended_or("queued"), **NO_LEASE)
    _release(session, run, token, "handed over", gives_way_to)
    return run.status


def pause(session: Session, run_id: str, token: int) -> Status | None:
    """Pauses the run, or queues it where it gives way to another; the attempt does not count. Its status afterwards.

    None where nobody asks for it any more: the attempt goes on.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = require_held(session, run_id, token)
    gives_way_to = preemption.still_wanted_by(session, run)
    if not run.pause_requested and gives_way_to is None:
        return None
    run = update_held(session, run_id, token, **_ended_or("queued"), **NO_LEASE)
    _release(session, run, token, "paused", gives_way_to)
    return run.status


def _release(session: Session, run: Run, token: int, outcome: AttemptOutcome, gives_way_to: str | None) -> None:
    """Ends an attempt after which the run is to go on later, or is cancelled."""
    if gives_way_to is not None and run.status == "queued":
        _end_attempt(session, run, token, "gave way", preemption.describe(session, gives_way_to))
        preemption.begin_waiting_again(session, gives_way_to)
    else:
        _end_attempt(session, run, token, outcome, None)
    go_on(session, run)


def _ended_or(status: Literal["queued", "failed"]) -> dict[str, Any]:
    """The columns of a run that becomes `status`; where it was asked for, cancelled, or paused instead of queued."""
    final = now() if status in FINAL_STATUSES else null()
    asked = [(Run.cancel_requested, "cancelled")]
    if status == "queued":
        asked.append((Run.pause_requested, "paused"))
    return {
        "status": case(*asked, else_=status),
        "finished_at": case((Run.cancel_requested, now()), else_=final),
        "pause_requested": False,
        "waits_since": now() if status == "queued" else Run.waits_since,
    }


def requeue(
    session: Session,
    run_id: str,
    token: int,
    *,
    error: str,
    error_kind: str,
    max_attempts: int,
) -> Status:
    """Ends an attempt that was lost, say killed or stalled; the status of the run afterwards.

    The run is queued again, or failed with this error once `max_attempts` attempts have counted since it was last
    extended.

    Raises:
        LeaseLost: the token no longer holds the run.
    """
    run = _lose(session, held(run_id, token), run_id, error=error, error_kind=error_kind, max_attempts=max_attempts)
    if run is None:
        raise LeaseLost(run_id, token)
    return run.status


def _lose(
    session: Session,
    guards: tuple[ColumnElement[bool], ...],
    run_id: str,
    *,
    error: str,
    error_kind: str,
    max_attempts: int,
) -> Run | None:
    counted = select(func.count()).where(*since_extended(run_id), Attempt.outcome.not_in(UNCOUNTED))
    exhausted = session.scalars(counted).one() >= max_attempts
    failed = {**_ended_or("failed"), "error": error, "error_kind": error_kind}
    run = update_run(session, *guards, **(failed if exhausted else _ended_or("queued")), **NO_LEASE)
    if run is not None:
        _end_attempt(session, run, run.token, "lost", error)
        go_on(session, run)
    return run


def requeue_expired(session: Session, max_attempts: int) -> list[str]:
    """Takes every run whose lease has expired from its worker, as `requeue` does. The ids of those runs."""
    expired = (Run.status == "running", Run.lease_expires_at < now())
    # Locked at once, and without those that somebody writes now, which are not lost: nobody waits in a circle for a run
    # and its owner. Sorted by owner, as quotas lock them.
    query = select(Run.id, Run.token, Run.lease_worker).where(*expired).order_by(Run.owner, Run.id)
    candidates = session.execute(query.with_for_update(skip_locked=True)).all()
    lost: list[str] = []
    for run_id, token, worker in candidates:
        run = _lose(
            session,
            (*held(run_id, token), *expired),
            run_id,
            error=f"worker {worker} stopped renewing its lease",
            error_kind="LeaseExpired",
            max_attempts=max_attempts,
        )
        if run is not None:
            lost.append(run_id)
    return lost


def describe_attempt(
    session: Session,
    run_id: str,
    token: int,
    *,
    device: str,
    threads: int,
    cpu_capability: str,
    versions: Mapping[str, str],
    resumed_from_epoch: int | None,
    identical: bool | None,
) -> None:
    """Stores what the attempt runs on and where it starts.

    Raises:
        LeaseLost: the token no longer holds the run.
    """
    require_held(session, run_id, token)
    session.execute(
        update(Attempt)
        .where(Attempt.run_id == run_id, Attempt.token == token)
        .values(
            device=device,
            threads=threads,
            cpu_capability=cpu_capability,
            versions=dict(versions),
            resumed_from_epoch=resumed_from_epoch,
            identical=identical,
        )
        .execution_options(synchronize_session=False)
    )
