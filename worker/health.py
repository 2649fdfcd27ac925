"""`python -m worker.health`: whether a worker of this machine answers. For the health check of a container."""

import socket
import sys
from typing import Any, cast

from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from store.core.settings import Settings

TIMEOUT_S = 5.0


def main() -> int:
    """Exit status 0 when a worker answers, 1 when none does. A worker whose slot has failed is gone."""
    app = Celery(broker=Settings().broker, set_as_current=False)
    app.conf.broker_transport_options = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "max_retries": 0,
    }
    workers = cast(Any, app).control.inspect(
        pattern=f"*@{socket.gethostname()}", matcher="glob", limit=1, timeout=TIMEOUT_S
    )
    try:
        return 0 if workers.ping() else 1
    except (KombuError, RedisError, OSError) as error:
        sys.stderr.write(f"the broker does not answer: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
