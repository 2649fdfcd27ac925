"""`python -m worker` and `python -m worker.health` as processes."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.images import CHECKOUT
from tests.support.worker import Clinic, clinic_at, wait_for_listeners
from worker import health

COMMAND = [sys.executable, "-m", "worker"]
HEALTH = [sys.executable, "-m", "worker.health"]


@pytest.fixture
def clinic(sqlite_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, sqlite_url)


def run(clinic: Clinic, command: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
    environment = clinic.environment(**changes)
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def test_a_worker_does_not_start_before_the_migration(clinic: Clinic, tmp_path: Path) -> None:
    done = run(clinic, COMMAND, GANCLINIC_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}")
    assert done.returncode == 1
    assert "python -m store.migrate" in done.stderr


def test_a_worker_without_a_database_says_so(clinic: Clinic) -> None:
    done = run(clinic, COMMAND, GANCLINIC_DATABASE_URL="postgresql://postgres@/nothing?host=/nowhere")
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_device_that_does_not_exist_is_named(clinic: Clinic) -> None:
    done = run(clinic, [*COMMAND, "--device", "abacus"])
    assert done.returncode == 1
    assert "device: String should match pattern" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"GANCLINIC_STORE_URL": "s3://bucket"}, "store_url: a bucket needs a key"),
        ({"GANCLINIC_HEARTBEAT_INTERVAL": "29"}, "lease_duration: 3 s is too short for a heartbeat every 29 s"),
        ({"GANCLINIC_THREADS": "0"}, "threads: Input should be greater than or equal to 1"),
    ],
)
def test_settings_that_do_not_do_are_named(clinic: Clinic, setting: dict[str, str], words: str) -> None:
    done = run(clinic, COMMAND, **setting)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_training_that_its_diagnosis_halts_ends_for_good(clinic: Clinic) -> None:
    steps: dict[str, Any] = {"objective.name": "lsgan", "optimizer": {"name": "sgd", "learning_rate": 10}}
    halted = clinic.create_run(**steps, diagnosis={"halt_on": ["divergence"], "halt_after_epochs": 3})
    with clinic.worker():
        clinic.wait_for_end(halted)
        while "ended its process with status 0" not in (clinic.home / "worker-0.log").read_text():
            time.sleep(0.05)
    run = clinic.run(halted)
    assert (run.status, run.epochs_done, run.lease_worker, run.error) == ("halted", 3, None, None)
    assert [attempt.outcome for attempt in clinic.attempts(halted)] == ["halted"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_worker_stops_within_seconds_also_without_a_broker(clinic: Clinic, number: signal.Signals) -> None:
    with clinic.worker(GANCLINIC_POLL_INTERVAL="15") as worker:
        log = clinic.home / "worker-0.log"
        while "Cannot connect" not in log.read_text():
            time.sleep(0.05)
        worker.send_signal(number)
        assert worker.wait(timeout=5) == 0
    assert "Traceback" not in log.read_text()


def test_a_worker_whose_slot_fails_ends(clinic: Clinic) -> None:
    clinic.create_run()
    script = (
        "import sys, worker.__main__ as worker; worker.supervise = lambda *_, **__: 1 / 0; sys.exit(worker.main([]))"
    )
    done = run(clinic, [sys.executable, "-c", script])
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_health_is_good_once_a_worker_answers(clinic: Clinic, broker_url: str) -> None:
    with clinic.worker(GANCLINIC_BROKER_URL=broker_url):
        wait_for_listeners(broker_url, 1)
        assert run(clinic, HEALTH, GANCLINIC_BROKER_URL=broker_url).returncode == 0


def test_health_is_bad_where_no_worker_answers(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANCLINIC_BROKER_URL", broker_url)
    monkeypatch.setattr(health, "TIMEOUT_S", 0.2)
    assert health.main() == 1


def test_health_is_bad_without_a_broker(clinic: Clinic) -> None:
    done = run(clinic, HEALTH)
    assert done.returncode == 1
    assert "the broker does not answer" in done.stderr
    assert "Traceback" not in done.stderr
