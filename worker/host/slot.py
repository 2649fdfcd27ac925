"""A worker's slot: claims a run, trains it, and so on for as long as runs are queued."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from store import watched
from store.core.db import transaction
from store.core.errors import DatabaseUnavailable
from store.core.settings import Settings
from store.operations import tracing
from store.operations.logging import log_context
from store.runs import claims, endings
from store.runs.claims import Claim
from store.scheduling import workers
from store.scheduling.accounts import EQUAL, Sharing
from worker.host.gpu_allocator import GpuAllocator, GpuShare

Train = Callable[[Claim, Callable[[], bool], GpuShare], bool]
"""Trains a claimed run on its share to its end, or until the function says that the worker is stopping.

Whether it failed for want of something that another host may have.
"""
STACK_MEMBERS = 16
"""Twice as many are a sixth faster (docs/performance.md), and each of them waits for all."""
REST_S = 60.0  # other hosts look for work every 15 s at most

logger = logging.getLogger(__name__)


def slot_names(worker: str, count: int) -> list[str]:
    """As which the slots of a worker are known: the one has its name, of several each has a number."""
    return [worker] if count == 1 else [f"{worker}.{number}" for number in range(1, count + 1)]


class Rest:
    """Keeps every slot of a worker from claiming for a while. Slots of several threads use it."""

    def __init__(self, worker: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.obstacle = (
            f"worker {worker} rests for up to a minute: a run found no room on its disk, or no GPU that it can use"
        )
        """What is told to runs that wait for it."""
        self._clock, self._ends_at = clock, 0.0

    def begin(self, seconds: float) -> None:
        """No slot claims for so many seconds from now on."""
        self._ends_at = self._clock() + seconds

    def is_on(self) -> bool:
        """Whether no slot may claim now."""
        return self._clock() < self._ends_at


class Slot:
    """Trains one run at a time. Woken by the bell, and by itself every poll interval: a lost bell costs no more.

    `wake` and `stop` may be called from any thread and from a signal handler: they take no lock.
    """

    def __init__(
        self,
        worker: str,
        train: Train,
        *,
        engine: Engine,
        settings: Settings,
        sharing: Sharing = EQUAL,
        allocator: GpuAllocator | None = None,
        rest: Rest | None = None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        """The slots of a worker share `allocator` and `rest`; without the first no GPUs need looking after.

        `on_idle` is called whenever nothing is queued that the slot may take, with each look for work.
        """
        self._allocator = allocator or GpuAllocator(
            worker, {}, read=lambda _: None, without_gpu=settings.device, labels=settings.worker_labels
        )
        self._worker, self._train, self._sharing = worker, train, sharing
        self._engine, self._settings = engine, settings
        self._rest = rest or Rest(worker)  # the host's fault, a full disk, is every slot's
        self._on_idle = on_idle
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._stopping = self._is_drained = False
        self._most_members = settings.stack_members or (1 if self._allocator.gpus else STACK_MEMBERS)
        self._obstacle: str | None = None

    def wake(self) -> None:
        """Looks for work at once, without waiting for the next poll."""
        self._calls.put(None)

    def stop(self) -> None:
        """Makes `run` return soon; the run in training is handed over."""
        self._stopping = True
        self._calls.put(None)

    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def run(self) -> None:
        """Trains whatever is queued until `stop` is called; other processes see for how long the worker is there."""
        if self._say(workers.begin):
            logger.info("was drained, which its start has ended")
        while not self._stopping:
            try:
                self.drain()
            except DatabaseUnavailable as error:
                logger.warning("%s; trying again", error)
            if not self._stopping:
                self._on_idle()
            self._wait()
        self._say(workers.end)

    def _say(self, what: Callable[[Session, str], bool | None]) -> bool | None:
        try:
            with transaction(self._engine) as session:
                return what(session, self._worker)
        except DatabaseUnavailable as error:
            logger.warning("%s; the next heartbeat says that this worker is there", error)
            return None

    def drain(self) -> None:
        """Trains until nothing is queued.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        while not self._stopping and (claimed := self._traced_claim()) is not None:
            claim, share = claimed
            with self._allocator.holding(share), log_context(run=claim.run_id, attempt=claim.attempt):
                logger.info("begins")
                if self._train(claim, self.is_stopping, share):
                    self._rest.begin(REST_S)
                    logger.warning("leaves it, and what else is queued, to other hosts for %.0f s", REST_S)

    def _traced_claim(self) -> tuple[Claim, GpuShare] | None:
        started_at = time.monotonic()
        claimed = self._claim()
        if claimed is not None:
            claim, _ = claimed
            attributes = {
                tracing.RUN: claim.run_id,
                tracing.ATTEMPT: claim.attempt,
                tracing.WORKER: self._worker,
            }
            seconds = time.monotonic() - started_at
            tracing.add_span("claim", attributes, traceparent=claim.traceparent, seconds=seconds)
        return claimed

    def _claim(self) -> tuple[Claim, GpuShare] | None:
        with transaction(self._engine) as session:
            lost = endings.requeue_expired(session, self._settings.max_attempts)
            silent = watched.lose_silent(session, self._settings.watch_patience) + watched.end_unjudged(session)
        for run_id in lost:
            with log_context(run=run_id):
                logger.warning("was lost by its worker")
        for run_id in silent:
            with log_context(run=run_id):
                logger.info("is watched no more")
        rests = self._rest.obstacle if self._rest.is_on() else None
        is_drained = self._describe(rests or self._obstacle)
        if rests is not None:
            return None
        with self._allocator.offer() as offer:
            with transaction(self._engine) as session:
                claim = claims.claim(
                    session,
                    self._worker,
                    self._settings.lease_duration,
                    self._sharing,
                    offer,
                    most_members=self._most_members,
                )
            share = None if claim is None else self._allocator.take(offer)
        if claim is None and offer.obstacle != self._obstacle:
            self._describe(offer.obstacle)
        if is_drained and not self._is_drained:
            logger.info("is drained, and claims nothing until that is ended")
        self._is_drained = is_drained
        self._tell_of(offer.obstacle)
        return None if claim is None or share is None else (claim, share)

    def _describe(self, obstacle: str | None) -> bool:
        """Says that the worker is alive, what it has, and what keeps it from claiming; whether it is drained."""
        with transaction(self._engine, durable=False) as session:
            workers.describe(
                session,
                self._worker,
                gpus=self._allocator.most_gpus,
                gpu_memory=self._allocator.largest_gpu,
                labels=self._allocator.labels,
                obstacle=obstacle,
                bf16_speedup=self._allocator.bf16_speedup,
            )
            return workers.is_drained(session, self._worker)

    def _tell_of(self, obstacle: str | None) -> None:
        if obstacle is not None and obstacle != self._obstacle:
            logger.info("claims nothing now: %s", obstacle)
        self._obstacle = obstacle

    def _wait(self) -> None:
        with suppress(Empty):
            self._calls.get(timeout=self._settings.poll_interval.total_seconds())
            while True:  # what was called meanwhile is answered by one drain
                self._calls.get_nowait()


class Slots:
    """The slots of a worker, which hear and stop together."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = tuple(slots)

    def wake(self) -> None:
        """Looks for work at once, without waiting for the next poll."""
        for slot in self.slots:
            slot.wake()

    def stop(self) -> None:
        """Makes `run` of every slot return soon; runs in training are handed over."""
        for slot in self.slots:
            slot.stop()

    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return all(slot.is_stopping() for slot in self.slots)


def make_slots(
    worker: str,
    count: int,
    train: Train,
    *,
    engine: Engine,
    settings: Settings,
    sharing: Sharing = EQUAL,
    allocator: GpuAllocator | None = None,
    on_idle: Callable[[], None] = lambda: None,
) -> Slots:
    """So many slots of one worker, which share its GPUs and rest together."""
    make = partial(
        Slot,
        train=train,
        engine=engine,
        settings=settings,
        sharing=sharing,
        allocator=allocator,
        rest=Rest(worker),
        on_idle=on_idle,
    )
    return Slots([make(name) for name in slot_names(worker, count)])
