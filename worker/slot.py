"""The worker's one slot: claims a run, trains it, and so on for as long as runs are queued."""

import logging
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from store import leases, workers
from store.accounts import EQUAL, Sharing
from store.db import transaction
from store.errors import DatabaseUnavailable
from store.leases import Claim
from store.log_lines import log_context
from store.settings import Settings

Train = Callable[[Claim, Callable[[], bool]], None]
"""Trains a claimed run to its end, or until the function says that the worker is stopping."""

logger = logging.getLogger(__name__)


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
        when_idle: Callable[[], None] = lambda: None,
    ) -> None:
        """`when_idle` is called when nothing is queued, and must return soon."""
        self._worker, self._train, self._sharing, self._when_idle = worker, train, sharing, when_idle
        self._engine, self._settings = engine, settings
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._stopping = False

    def wake(self) -> None:
        """There may be work."""
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
        self._say(workers.begin)
        while not self._stopping:
            try:
                self.drain()
                self._when_idle()
            except DatabaseUnavailable as error:
                logger.warning("%s; trying again", error)
            self._wait()
        self._say(workers.end)

    def _say(self, what: Callable[[Session, str], None]) -> None:
        try:
            with transaction(self._engine) as session:
                what(session, self._worker)
        except DatabaseUnavailable as error:
            logger.warning("%s; the next heartbeat says that this worker is there", error)

    def drain(self) -> None:
        """Trains until nothing is queued.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        while not self._stopping and (claim := self._claim()) is not None:
            with log_context(run=claim.run_id, attempt=claim.attempt):
                logger.info("begins")
                self._train(claim, self.is_stopping)

    def _claim(self) -> Claim | None:
        with transaction(self._engine) as session:
            lost = leases.requeue_expired(session, self._settings.max_attempts)
        for run_id in lost:
            with log_context(run=run_id):
                logger.warning("was lost by its worker")
        with transaction(self._engine) as session:
            workers.beat(session, self._worker)
        with transaction(self._engine) as session:
            return leases.claim(session, self._worker, self._settings.lease_duration, self._sharing)

    def _wait(self) -> None:
        with suppress(Empty):
            self._calls.get(timeout=self._settings.poll_interval.total_seconds())
            while True:  # what was called meanwhile is answered by one drain
                self._calls.get_nowait()
