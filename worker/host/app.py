"""The Celery side of a worker: it only hears the bell. What to train is read in the database."""

from collections.abc import Callable
from typing import Any, cast

from celery import Celery
from kombu.common import Broadcast

from store.core.settings import Settings
from store.operations.broker import EXCHANGE, ROUTING_KEY, TASK
from worker.host.remote_control import LookingControl

HEARTBEAT_INTERVAL_S = 5.0


def make_app(settings: Settings, on_bell: Callable[[], None]) -> Celery:
    """A Celery app whose only task calls `on_bell`, which must return at once."""
    app = Celery("ganclinic", broker=settings.broker, set_as_current=False, control=LookingControl)
    app.conf.update(
        accept_content=["json"],
        task_ignore_result=True,
        # A queue of this worker's own, gone with it: every worker hears every bell, and none rings late.
        task_queues=[Broadcast(EXCHANGE.name, exchange=EXCHANGE, routing_key=ROUTING_KEY)],
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: without a broker the slot polls
    )

    def bell() -> None:
        on_bell()

    app.task(name=TASK)(bell)
    app.finalize()
    tasks = cast("dict[str, Any]", app.tasks)
    for name in set(tasks) - {TASK}:  # Celery's own, which every app has
        del tasks[name]
    return app


def serve_bell(app: Celery, worker: str) -> None:
    """Hears the bell until a signal, which Celery answers, or until Celery gives up. Runs in the main thread."""
    # solo: the task takes microseconds, a pool would only add a thread. Gossip and mingle are off because workers here
    # have nothing to tell each other; the heartbeat is for Flower, which lists only who sends one.
    program = cast(Any, app).Worker(
        hostname=worker,
        pool="solo",
        concurrency=1,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        heartbeat_interval=HEARTBEAT_INTERVAL_S,
    )
    program.start()
