"""Where the service wants it, a worker looks now and then whether a run has to give way to one of higher priority."""

import logging

from sqlalchemy import Engine

from store.core.db import transaction
from store.core.errors import DatabaseUnavailable
from store.core.settings import Settings
from store.operations.logging import log_context
from store.scheduling.accounts import EQUAL, Sharing
from store.scheduling.preemption import Asked, ask
from worker.periodic import Periodic

logger = logging.getLogger(__name__)


class Preemption:
    """Looks in a thread of its own, as often as a lease is renewed: one worker is enough, and each may be the last."""

    def __init__(self, *, engine: Engine, settings: Settings, sharing: Sharing = EQUAL) -> None:
        self._engine, self._settings, self._sharing = engine, settings, sharing
        interval_s = settings.heartbeat_interval.total_seconds()
        self._periodic = Periodic("preemption", self._look_again, interval_s)

    def start(self) -> None:
        """Starts the thread, where the service wants preemption."""
        if self._settings.preemption:
            self._periodic.start()

    def stop(self) -> None:
        """Stops the thread, and waits for a look that goes on."""
        self._periodic.stop()

    def _look_again(self) -> None:
        try:
            self.look()
        except DatabaseUnavailable as error:
            logger.warning("%s; looking again with the next heartbeat", error)

    def look(self) -> None:
        """Asks as many runs as have to give way.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        while (asked := self._ask()) is not None:
            with log_context(run=asked.run_id):
                logger.info("is asked to give way to run %s", asked.gives_way_to)

    def _ask(self) -> Asked | None:
        wanted = self._settings
        with transaction(self._engine) as session:
            return ask(session, patience=wanted.preemption_patience, rest=wanted.preemption_rest, sharing=self._sharing)
