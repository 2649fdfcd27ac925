"""Sends what webhooks are to be told, in a thread beside the API. Several processes may: each claims what it sends."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from api.notifications.content import body_of, headers_of
from api.notifications.posting import NotTaken, post
from store.core.db import reading, transaction
from store.core.errors import DatabaseUnavailable
from store.core.settings import Settings
from store.runs import deliveries
from store.runs.deliveries import MOST_CLAIMED, ClaimedDelivery

LOOK_S = 0.5  # whoever waits is told within a second
RETRY_S = 5.0
"""How long a database that does not answer is left alone."""

logger = logging.getLogger(__name__)


class Notifier:
    """Looks for what is due, and sends it."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        send: Callable[..., None] = post,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine, self._networks = engine, settings.webhook_networks
        self._send, self._clock = send, clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Begins no more; what is being sent goes on to its end, or is sent again by another process."""
        self._stopped.set()

    def send_due(self) -> int:
        """Sends what is due now, at most as much as is claimed at once; how much that was."""
        with reading(self._engine) as session:  # which waits for no writer, as most looks find nothing
            if not deliveries.is_any_due(session):
                return 0
        with transaction(self._engine) as session:
            claimed = deliveries.claim(session)
        with ThreadPoolExecutor(MOST_CLAIMED, thread_name_prefix="webhook") as pool:
            for _ in pool.map(self._send_one, claimed):
                pass
        return len(claimed)

    def _send_one(self, delivery: ClaimedDelivery) -> None:
        error = None
        try:
            body = body_of(delivery)
            self._send(delivery.url, body, headers_of(delivery, body, self._clock()), networks=self._networks)
        except NotTaken as reason:
            error = str(reason)
            logger.info("webhook %s, attempt %s: %s", delivery.webhook_id, delivery.attempt, error)
        except Exception as fault:  # which may come with every attempt: not noted, it would come again for ever
            error = f"the service could not send it: {type(fault).__name__}"
            logger.exception("webhook %s, attempt %s could not be sent", delivery.webhook_id, delivery.attempt)
        with transaction(self._engine) as session:
            if error is None:
                deliveries.note_taken(session, delivery)
            else:
                deliveries.note_failed(session, delivery, error)

    def _run(self) -> None:
        wait_s = LOOK_S
        while not self._stopped.wait(wait_s):
            wait_s = LOOK_S
            try:
                while self.send_due() and not self._stopped.is_set():
                    pass
            except DatabaseUnavailable as error:
                logger.warning("webhooks cannot be looked for: %s", error)
                wait_s = RETRY_S
            except Exception:
                logger.exception("webhooks could not be sent")
                wait_s = RETRY_S
