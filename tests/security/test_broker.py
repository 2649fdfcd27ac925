"""Whoever reaches the broker rings a bell, and gains nothing else: no code of a message runs, no worker stops."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from celery import Celery
from celery.worker.control import Panel

from store.operations.broker import EXCHANGE, ROUTING_KEY, TASK
from tests.support.worker import Clinic, clinic_at, wait_for_listeners
from worker.host.remote_control import ANSWERED

MIB = 1024**2
UNKNOWN_TASKS = [
    *("os.system", "worker.attempt.training.main", TASK + "x", "", "../" * 9),
    *("celery.backend_cleanup", "celery.starmap", "celery.chord_unlock"),  # which every app of Celery knows
]
REFUSED = sorted(set(cast("dict[str, Any]", Panel.data)) - ANSWERED)
"""All of Celery's commands but those that only look."""
ARGUMENTS: dict[str, dict[str, Any]] = {
    "shutdown": {"msg": "a last word"},
    "pool_restart": {"modules": ["antigravity"], "reload": True},
    "pool_grow": {"n": 1000},
    "pool_shrink": {"n": 1},
    "autoscale": {"max": 100, "min": 50},
    "rate_limit": {"task_name": TASK, "rate_limit": "1/h"},
    "time_limit": {"task_name": TASK, "hard": 0.001},
    "add_consumer": {"queue": "celery"},
    "revoke": {"task_id": ["0"], "terminate": True, "signal": "KILL"},
    "terminate": {"signal": "KILL", "task_id": ["0"]},
    "revoke_by_stamped_headers": {"headers": ["a=b"], "terminate": True},
    "election": {"id": "1", "topic": "task", "action": {"task": TASK}},
    "hello": {"from_node": "forger", "revoked": ["0"]},
    "objgraph": {"type": "dict"},
}


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
    for task in UNKNOWN_TASKS:
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


@pytest.fixture
def clinic(migrated_postgres_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, migrated_postgres_url)


def broadcast(app: Any, command: str, **arguments: Any) -> list[dict[str, Any]]:
    """What the workers answer."""
    answers: list[dict[str, Any]] = app.control.broadcast(command, arguments=arguments, reply=True, timeout=10, limit=1)
    return answers


def log_of(clinic: Clinic) -> str:
    return (clinic.home / "worker-0.log").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_command_of_the_broker_stops_or_changes_a_worker(clinic: Clinic, broker_url: str) -> None:
    """Told in the log, one line each."""
    assert {"shutdown", "pool_restart", "rate_limit", "cancel_consumer", "revoke", "dump_conf"} <= set(REFUSED)
    app = cast("Any", Celery("forger", broker=broker_url, set_as_current=False))
    with clinic.worker(GANCLINIC_BROKER_URL=broker_url) as worker:
        wait_for_listeners(broker_url, 1)
        queues = broadcast(app, "active_queues")
        assert queues
        for command in REFUSED:
            arguments = ARGUMENTS.get(command, {})
            if command == "cancel_consumer":
                arguments = {"queue": next(iter(queues[0].values()))[0]["name"]}
            (answer,) = broadcast(app, command, **arguments)
            assert list(answer.values()) == [{"error": "workers of this service take no such command"}], command
        assert broadcast(app, "active_queues") == queues
        assert list(broadcast(app, "registered")[0].values()) == [[TASK]]  # with no limit of its rate
        assert worker.poll() is None
        log = log_of(clinic)
        for command in REFUSED:
            assert log.count(f"was sent the command '{command}', which it does not take") == 1, command
        assert "a last word" not in log
        assert "Traceback" not in log
        send_commands_that_are_none(app)
        (answer,) = broadcast(app, "ping")
        assert list(answer.values()) == [{"ok": "pong"}]
        assert worker.poll() is None
    assert worker.returncode == 0
    app.close()
    lines = log_of(clinic).splitlines()
    assert max(map(len, lines)) < 2000
    assert not any(line.startswith("2026-01-01") for line in lines)
    assert sum("by a pattern that is no glob" in line for line in lines) == 2
    assert sum("was sent what is no command" in line for line in lines) == 9


def send_commands_that_are_none(app: Any) -> None:
    """Some that no client of Celery could send."""
    box = app.control.mailbox.exchange
    bodies: list[Any] = [
        {"method": "__class__"},
        {"method": ["shutdown"]},
        {"method": None, "arguments": 3},
        {"method": "ping", "arguments": {"state": 1}},
        {"method": "ping", "reply_to": {"exchange": "x"}},
        {"method": "x\n2026-01-01 INFO forged" + "y" * MIB},
        {"pattern": "(((((.+)+)+)+)+)+!", "matcher": "pcre", "method": "ping"},  # looks for it for longer than the sun
        {"pattern": "(", "matcher": "pcre", "method": "ping"},
        {},
        [],
        "shutdown",
        7,
        None,
    ]
    with app.producer_pool.acquire(block=True) as producer:
        for body in bodies:
            producer.publish(body, serializer="json", exchange=box, declare=[box])
        for kind in ("application/x-python-serialize", "application/data"):
            raw: dict[str, Any] = {"content_type": kind, "content_encoding": "binary", "serializer": None}
            producer.publish(b"\x80\x04cos\nsystem\n", exchange=box, declare=[box], **raw)


@pytest.mark.slow
@pytest.mark.timeout(300)  # a worker that imports much, on a machine that may be busy
def test_forged_messages_run_nothing_and_stop_no_worker(clinic: Clinic, broker_url: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with clinic.worker(GANCLINIC_BROKER_URL=broker_url) as worker:
        wait_for_listeners(broker_url, 1)
        forge(broker_url, mark)
        run = clinic.wait_for_end(clinic.create_run())
        assert (run.status, run.error) == ("succeeded", None)
        assert worker.poll() is None
    assert not mark.exists()
    log = log_of(clinic)
    for task in UNKNOWN_TASKS:
        assert f"Received unregistered task of type {task!r}" in log
    assert log.count("Can't decode message body: ContentDisallowed") == log.count("Can't decode message body") >= 2
