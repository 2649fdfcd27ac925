"""A worker with a real GPU and its real driver, as processes: sharing, waiting, running out of memory."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.core.db import reading
from store.core.settings import visible_gpus
from store.scheduling import gpu_readings, workers
from tests.support.processes import running
from tests.support.worker import Clinic, clinic_at
from worker.gpus import read_use

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(90)]
GB = 10**9
SHARED = {"GANCLINIC_DEVICE": "auto", "GANCLINIC_SLOTS_PER_GPU": "2"}
LONG = {"training.epochs": 1000}
HOLDS_A_GPU = """
import time, torch
held = torch.zeros(2**28, device="cuda")
print("holds", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def clinic(sqlite_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, sqlite_url)


def log_of(clinic: Clinic) -> str:
    return (clinic.home / "worker-0.log").read_text()


def test_two_runs_share_a_gpu_and_a_third_that_wants_it_whole_waits(clinic: Clinic) -> None:
    ids = [clinic.create_run(**LONG, **{"resources.gpu_memory_gb": 2}) for _ in range(2)]
    with clinic.worker(**SHARED) as worker:
        for run_id in ids:
            clinic.wait_for_epoch(run_id, 1)
        use = read_use(0, visible_gpus())
        assert use is not None
        assert all(process.memory is None or process.memory < 2 * GB for process in use.processes)
        whole = clinic.create_run()
        time.sleep(1)
        assert clinic.run(whole).status == "queued"
        assert {clinic.run(run_id).lease_worker for run_id in ids} == {worker_slot(clinic, n) for n in (1, 2)}
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 0
    assert [clinic.run(run_id).status for run_id in ids] == ["queued", "queued"]
    assert "Traceback" not in log_of(clinic)


def worker_slot(clinic: Clinic, number: int) -> str:
    with reading(clinic.engine) as session:
        (name,) = [w.name for w in workers.list_workers(session) if w.name.endswith(f".{number}")]
    return name


def test_a_worker_waits_while_a_process_outside_has_the_gpu(clinic: Clinic) -> None:
    run_id = clinic.create_run(**{"training.epochs": 2})
    held = clinic.home / "held.log"
    command = [sys.executable, "-c", HOLDS_A_GPU]
    with clinic.worker(**SHARED):
        clinic.wait_for_end(run_id)
        with running(command, log=held, ready=lambda: "holds" in held.read_text(), timeout_s=60) as outside:
            second = clinic.create_run(**{"training.epochs": 2})
            words = "claims nothing now: GPU 0 of worker"
            while words not in log_of(clinic):
                time.sleep(0.05)
            assert "is in use by a process outside the service: pid" in log_of(clinic)
            assert clinic.run(second).status == "queued"
            outside.kill()
        assert clinic.wait_for_end(second).status == "succeeded"
    assert clinic.run(run_id).status == "succeeded"


def test_a_run_that_is_too_large_for_its_share_says_what_would_fit(clinic: Clinic) -> None:
    wide: dict[str, Any] = {"generator.width": 2048, "discriminator.width": 2048, "dataset.size": 20_000}
    run_id = clinic.create_run(**wide, **{"training.batch_size": 16_384, "resources.gpu_memory_gb": 1})
    with clinic.worker(**SHARED):
        run = clinic.wait_for_end(run_id)
    assert run.status == "failed"
    assert "OutOfMemory" in str(run.error)
    assert "fits (tried on this GPU): --set training.batch_size=" in str(run.error)


def test_what_a_gpu_does_is_read_and_a_cancel_takes_seconds(clinic: Clinic) -> None:
    run_id = clinic.create_run(**LONG)
    with clinic.worker(**SHARED):
        clinic.wait_for_epoch(run_id, 1)
        with reading(clinic.engine) as session:
            (gpu, *_) = gpu_readings.fresh(session)
        assert gpu.memory_total > 2**30
        assert gpu.name.startswith("NVIDIA")
        with clinic.api() as (_, client):
            began = time.monotonic()
            assert client.post(f"/runs/{run_id}/cancel").is_success
            assert clinic.wait_for_end(run_id).status == "cancelled"
            assert time.monotonic() - began < 10
