"""The bell: a Celery message that says "there is work". Losing one costs a poll interval, never a run."""

import logging
from datetime import timedelta
from functools import cache

from celery import Celery
from kombu.entity import Exchange
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from store.core.settings import Settings

TASK = "ganclinic.bell"
# Every worker hears the bell: in a queue, a busy worker could swallow the message that an idle one waits for.
EXCHANGE = Exchange("ganclinic.bell", type="fanout", durable=False)
ROUTING_KEY = "bell"  # on Redis a part of the channel's name, so both sides must say the same
SOCKET_TIMEOUT = timedelta(milliseconds=250)
RINGERS = 40  # as many as FastAPI has threads: with fewer connections one would wait for another's timeout

logger = logging.getLogger(__name__)


def ring(settings: Settings) -> bool:
    """Wakes the workers, after the commit that made work; False when the broker does not answer within a second."""
    try:
        _sender(settings.broker).send_task(
            TASK,
            exchange=EXCHANGE,
            exchange_type=EXCHANGE.type,
            routing_key=ROUTING_KEY,
            declare=[EXCHANGE],
            ignore_result=True,
            retry=False,
        )
    except (KombuError, RedisError, OSError) as error:
        logger.warning("the bell did not ring, workers will poll: %s", error)
        return False
    return True


@cache
def _sender(broker_url: str) -> Celery:
    timeout = SOCKET_TIMEOUT.total_seconds()
    app = Celery("ganclinic", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        task_ignore_result=True,
        broker_pool_limit=RINGERS,
        broker_connection_timeout=timeout,
        broker_transport_options={"socket_timeout": timeout, "socket_connect_timeout": timeout, "max_retries": 0},
    )
    return app
