"""A worker's training process in reserve: real workers and processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.images import CHECKOUT
from tests.support.processes import trainings_of
from tests.support.worker import LOOK_INTERVAL_S, TINY, Clinic, clinic_at, is_alive, queue_run
from worker.host import spare as spares
from worker.host.spare import Spare

WAITS = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def clinic(sqlite_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, sqlite_url)


def spare_of(worker: subprocess.Popen[bytes]) -> int:
    """The id of an idle worker's only process; the test's own time limit ends the waiting."""
    while len(found := trainings_of(worker.pid)) != 1:
        time.sleep(LOOK_INTERVAL_S)
    return found[0]


def wait_until_gone(process_id: int) -> None:
    while is_alive(process_id):
        time.sleep(LOOK_INTERVAL_S)


def test_the_process_in_reserve_trains_the_next_run_and_no_other(clinic: Clinic) -> None:
    with clinic.worker(GANCLINIC_SPARE_TRAINING="true") as worker:
        first = spare_of(worker)
        run_id = queue_run(clinic.engine, TINY, {}, 0)
        assert clinic.wait_until(run_id, lambda run: run.step > 0).status != "failed"
        run = clinic.wait_for_end(run_id)
        assert (run.status, run.attempt) == ("succeeded", 1)
        wait_until_gone(first)
        second = spare_of(worker)
        assert second != first
        log = (clinic.home / "logs" / f"{run_id}.1.log").read_text()
        assert "begins after epoch 0" in log


def test_a_run_does_not_notice_that_the_process_in_reserve_has_died(clinic: Clinic) -> None:
    with clinic.worker(GANCLINIC_SPARE_TRAINING="true", GANCLINIC_POLL_INTERVAL="5") as worker:
        os.kill(spare_of(worker), signal.SIGKILL)
        run_id = queue_run(clinic.engine, TINY, {}, 0)
        run = clinic.wait_for_end(run_id)
    assert (run.status, run.attempt) == ("succeeded", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_worker(clinic: Clinic, number: signal.Signals) -> None:
    with clinic.worker(GANCLINIC_SPARE_TRAINING="true") as worker:
        spare = spare_of(worker)
        worker.send_signal(number)
        worker.wait()
        wait_until_gone(spare)


def test_a_worker_has_none_where_the_setting_says_so(clinic: Clinic) -> None:
    with clinic.worker(GANCLINIC_SPARE_TRAINING="false") as worker:
        run_id = queue_run(clinic.engine, TINY, {}, 0)
        clinic.wait_for_end(run_id)
        time.sleep(5 * 0.2)  # five looks for work
        assert trainings_of(worker.pid) == []


def test_until_its_ticket_it_has_touched_no_gpu_and_no_server() -> None:
    script = (
        "import os, sys, torch, worker.attempt.training; "
        "links = [os.readlink(f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')[:-1]]; "
        "sys.exit(torch.cuda.is_initialized() or any('socket' in link or 'nvidia' in link for link in links))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0


def test_one_that_is_older_than_the_workers_environment_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    spare = Spare(WAITS)
    spare.prepare()
    assert spare._process is not None
    old = spare._process.process
    monkeypatch.setenv("GANCLINIC_DATA_DIR", "/elsewhere")
    assert spare.take() is None
    assert old.returncode == -signal.SIGKILL
    spare.prepare()
    taken = spare.take()
    assert taken is not None
    taken.discard()


def test_its_memory_is_given_back_where_that_is_scarce() -> None:
    free = [spares.LEAST_MEMORY]
    spare = Spare(WAITS, free_memory=lambda: free[0])
    spare.prepare()
    assert spare._process is not None
    process = spare._process.process
    free[0] -= 1
    spare.prepare()
    assert process.returncode == -signal.SIGKILL
    assert spare.take() is None


def test_after_a_stop_none_is_started() -> None:
    spare = Spare(WAITS)
    spare.prepare()
    spare.stop()
    spare.prepare()
    assert spare.take() is None


def test_the_free_memory_is_the_machines_or_less() -> None:
    lines = Path("/proc/meminfo").read_text().splitlines()
    [total] = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    free = spares.free_memory_of_machine()
    assert free is not None
    assert 0 < free <= total
