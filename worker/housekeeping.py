"""What an idle worker does now and then, beside its slot: it deletes files that have expired."""

import logging
import threading
import time

from sqlalchemy import Engine

from store.errors import DatabaseUnavailable, DiskFull, StoreUnavailable
from store.retention import collect
from store.settings import Settings

INTERVAL_S = 3600.0  # files expire after days, and a bucket's list costs a request for every 1,000 of them

logger = logging.getLogger(__name__)


class Housekeeping:
    """Collects in a thread of its own: a claim does not wait for it."""

    def __init__(self, *, engine: Engine, settings: Settings, interval_s: float = INTERVAL_S) -> None:
        self._engine, self._settings, self._interval_s = engine, settings, interval_s
        self._due_at = time.monotonic() + interval_s
        self._thread: threading.Thread | None = None

    def begin_if_due(self) -> None:
        """Begins, unless it did within the interval or still goes on."""
        if time.monotonic() < self._due_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_at = time.monotonic() + self._interval_s
        self._thread = threading.Thread(target=self._collect, name="housekeeping", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Returns when nothing goes on."""
        if self._thread is not None:
            self._thread.join()

    def _collect(self) -> None:
        try:
            logger.info("collected: %s", collect(self._engine, self._settings))
        except (DatabaseUnavailable, DiskFull, OSError, StoreUnavailable) as error:
            logger.warning("not all could be collected: %s", error)
