"""The bell: a Celery message that says "there is work". Losing one costs a poll interval, never a run."""

import logging

from store.core.settings import Settings

logger = logging.getLogger(__name__)


def ring(settings: Settings) -> bool:
    """Wakes the workers, after the commit that made work; False when the broker does not answer within a second."""
    from store.operations import broker  # Celery is imported with the first ring: the API's start does not wait for it

    try:
        broker.send(settings.broker)
    except broker.FAILURES as error:
        logger.warning("the bell did not ring, workers will poll: %s", error)
        return False
    return True
