"""What training processes log, through real workers and a real API; and what Celery's own tools see of a worker."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from ganclinic.client import Client
from store.core.db import reading
from store.runs import logs
from tests.support.images import CHECKOUT
from tests.support.worker import Clinic, clinic_at, wait_for_listeners
from worker.host.app import HEARTBEAT_INTERVAL_S

CRASHING = """
import os, signal, sys
if sys.argv[1:] == [] and sys.orig_argv[-1] == "worker.attempt.training":
    sys.stderr.write("the driver says \\x1b[31mno\\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture
def clinic(sqlite_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, sqlite_url)


def stored_log(clinic: Clinic, run_id: str, attempt: int) -> str:
    with reading(clinic.engine) as session:
        return logs.read(session, run_id, attempt).content.decode()


def test_a_run_that_crashes_every_time_fails_with_its_last_log_lines(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "crash").mkdir()
    (tmp_path / "crash" / "sitecustomize.py").write_text(CRASHING)
    run_id = clinic.create_run()
    with clinic.worker(PYTHONPATH=str(tmp_path / "crash"), GANCLINIC_MAX_ATTEMPTS="2"):
        run = clinic.wait_for_end(run_id)
    assert (run.status, run.error_kind, run.attempt) == ("failed", "TrainingDied", 2)
    assert run.error is not None
    assert run.error.startswith("the training process was killed by signal 11 (Segmentation fault)")
    assert run.error.endswith(r"the driver says \x1b[31mno")
    assert [attempt.outcome for attempt in clinic.attempts(run_id)] == ["lost", "lost"]
    assert [stored_log(clinic, run_id, number) for number in (1, 2)] == ["the driver says \x1b[31mno\n"] * 2
    assert clinic.create_run() is not None  # and the worker is not harmed


def test_a_training_is_followed_while_it_runs(clinic: Clinic) -> None:
    run_id = clinic.create_run(**{"training.epochs": 3})
    with clinic.worker(GANCLINIC_LOG_FORMAT="json"), clinic.api() as (_, http):
        token = http.headers["Authorization"].partition(" ")[2]
        with Client(str(http.base_url).partition("/v1")[0], token) as client:
            text = "\n".join(client.follow_log(run_id))
            log = client.log(run_id)
            details = client.get_run(run_id)
    records = [json.loads(line) for line in text.splitlines() if line]
    assert {(record["run"], record["attempt"]) for record in records} == {(run_id, 1)}
    epochs = [record["message"].partition(" took ")[0] for record in records if " took " in record["message"]]
    assert epochs == ["epoch 1", "epoch 2", "epoch 3"]
    assert log.text.strip() == text.strip()
    assert (clinic.home / "logs" / f"{run_id}.1.log").read_text() == log.text
    lines = (clinic.home / "worker-0.log").read_text().splitlines()
    worker = [json.loads(line) for line in lines if line.startswith("{")]  # Celery says good-bye on stdout
    assert {record.get("run") for record in worker if record["message"] == "begins"} == {run_id}
    (attempt,) = details.attempts
    assert attempt.versions is not None
    assert {"ganclinic", "python", "torch", "torchvision", "numpy"} <= set(attempt.versions)


def test_celerys_own_tools_see_the_worker(clinic: Clinic, broker_url: str) -> None:
    def inspect(method: str) -> dict[str, object]:
        command = [sys.executable, "-m", "celery", "-b", broker_url, "inspect", method, "--json", "--timeout", "5"]
        environment = clinic.environment(GANCLINIC_BROKER_URL=broker_url)
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (answer,) = json.loads(done.stdout).values()
        return answer

    with clinic.worker(GANCLINIC_BROKER_URL=broker_url):
        wait_for_listeners(broker_url, 1)
        assert inspect("ping") == {"ok": "pong"}
        assert inspect("active") == []  # a training is no task: the bell's task takes microseconds
        assert "ganclinic.bell" in str(inspect("registered"))
        assert "pool" in inspect("stats")


def test_a_worker_sends_the_heartbeat_that_flower_lists_workers_by(clinic: Clinic, broker_url: str) -> None:
    heard: list[dict[str, object]] = []
    app = Celery(broker=broker_url, set_as_current=False)
    with clinic.worker(GANCLINIC_BROKER_URL=broker_url), app.connection() as connection:
        wait_for_listeners(broker_url, 1)
        receiver = app.events.Receiver(connection, handlers={"worker-heartbeat": heard.append})
        while not heard:
            receiver.capture(limit=1, timeout=30)  # of any kind
    assert heard[0]["freq"] == HEARTBEAT_INTERVAL_S
    assert str(heard[0]["hostname"]).startswith("worker-")
