"""What a worker does now and then, beside its slot: it deletes files that have expired."""

import logging

from sqlalchemy import Engine

from store.core.errors import StoreError
from store.core.settings import Settings
from store.retention import collect
from worker.periodic import Periodic

INTERVAL_S = 3600.0  # files expire after days, and a bucket's list costs a request for every 1,000 of them

logger = logging.getLogger(__name__)


class Housekeeping:
    """Collects in a thread of its own, however long runs are trained beside it."""

    def __init__(self, *, engine: Engine, settings: Settings, interval_s: float = INTERVAL_S) -> None:
        """`interval_s`: before the first time, and after each."""
        self._engine, self._settings = engine, settings
        self._periodic = Periodic("housekeeping", self._collect, interval_s)

    def start(self) -> None:
        """Starts the thread."""
        self._periodic.start()

    def stop(self) -> None:
        """Collects no more; a collection that goes on ends with the process."""
        self._periodic.stop(wait=False)

    def _collect(self) -> None:
        try:
            logger.info("collected: %s", collect(self._engine, self._settings))
        except (StoreError, OSError) as error:
            logger.warning("not all could be collected: %s", error)
