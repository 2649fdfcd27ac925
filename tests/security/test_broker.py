"""Whoever reaches the broker rings a bell, and gains nothing else: no code of a message runs, no worker stops."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from celery import Celery

from store.operations.broker import EXCHANGE, ROUTING_KEY, TASK
from tests.support.worker import clinic_at, wait_for_listeners

MIB = 1024**2


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (os.mknod, (str(self.mark),))


def forge(broker_url: str, mark: Path) -> None:
    """Sends what a worker must not believe."""
    app = cast("Any", Celery("forger", broker=broker_url, set_as_current=False))
    to: dict[str, Any] = {
        "exchange": EXCHANGE,
        "exchange_type": EXCHANGE.type,
        "routing_key": ROUTING_KEY,
        "declare": [EXCHANGE],
    }
    for task in ("os.system", "worker.attempt.training.main", "celery.backend_cleanup", TASK + "x", "", "../" * 9):
        app.send_task(task, args=[f"touch {mark}"], serializer="json", **to)
    for arguments in ([Payload(mark)], {"x": Payload(mark)}):
        app.send_task(TASK, args=[arguments], serializer="pickle", **to)
    app.send_task(TASK, args=[f"touch {mark}"], kwargs={"on_bell": "os.system"}, **to)
    app.send_task(TASK, args=["x" * 8 * MIB], **to)
    with app.producer_pool.acquire(block=True) as producer:
        for kind, encoding in [
            ("application/x-python-serialize", "binary"),
            ("application/data", "binary"),
            ("x", "y"),
        ]:
            producer.publish(
                b"\x80\x04cos\nsystem\n", content_type=kind, content_encoding=encoding, serializer=None, **to
            )
    app.close()


@pytest.mark.slow
@pytest.mark.timeout(300)  # a worker that imports much, on a machine that may be busy
def test_forged_messages_run_nothing_and_stop_no_worker(
    migrated_postgres_url: str, broker_url: str, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    with (
        contextmanager(clinic_at)(tmp_path, migrated_postgres_url) as clinic,
        clinic.worker(GANCLINIC_BROKER_URL=broker_url) as worker,
    ):
        wait_for_listeners(broker_url, 1)
        forge(broker_url, mark)
        run = clinic.wait_for_end(clinic.create_run())
        assert (run.status, run.error) == ("succeeded", None)
        assert worker.poll() is None
    assert not mark.exists()
