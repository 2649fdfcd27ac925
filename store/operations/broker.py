"""What the bell is to Celery and to its broker: an exchange, a task, a sender."""

from datetime import timedelta
from functools import cache

from celery import Celery
from kombu.entity import Exchange
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

TASK = "ganclinic.bell"
# Every worker hears the bell: in a queue, a busy worker could swallow the message that an idle one waits for.
EXCHANGE = Exchange("ganclinic.bell", type="fanout", durable=False)
ROUTING_KEY = "bell"  # on Redis a part of the channel's name, so both sides must say the same
SOCKET_TIMEOUT = timedelta(milliseconds=250)
RINGERS = 40  # as many as FastAPI has threads: with fewer connections one would wait for another's timeout
FAILURES = (KombuError, RedisError, OSError)
"""What is raised where the broker does not answer."""


def send(broker_url: str) -> None:
    """Sends one message to every worker."""
    _sender(broker_url).send_task(
        TASK,
        exchange=EXCHANGE,
        exchange_type=EXCHANGE.type,
        routing_key=ROUTING_KEY,
        declare=[EXCHANGE],
        ignore_result=True,
        retry=False,
    )


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
