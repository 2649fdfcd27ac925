"""Slots that share GPUs: threads on both databases, and a whole worker whose driver is a fake."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from store.core.db import reading, transaction
from store.core.settings import Settings
from store.runs import endings, lifecycle
from store.runs.claims import Claim
from store.scheduling import workers
from store.scheduling.accounts import EQUAL
from store.scheduling.explain import why_waiting
from store.scheduling.requirements import GB
from tests.support.images import CHECKOUT
from tests.support.processes import running
from tests.support.store import request
from tests.support.worker import Clinic, clinic_at
from worker.gpus import GpuUse, Process
from worker.host.gpu_allocator import GpuAllocator, GpuShare
from worker.host.slot import Slot, Slots, slot_names

TOTAL = 80 * GB
EMPTY = GpuUse(memory_total=TOTAL, memory_used=0, processes=())
TAKEN = GpuUse(memory_total=TOTAL, memory_used=9 * GB, processes=(Process(id=2**22, memory=9 * GB),))


class Ward:
    """One GPU, slots that share it, and trainings that last until they are let go."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.use = EMPTY
        self.shares: dict[str, GpuShare] = {}
        self._let_go: dict[str, threading.Event] = {}

    @contextlib.contextmanager
    def slots(self, count: int) -> Iterator[None]:
        allocator = GpuAllocator("w", {0: "cuda:0"}, read=lambda _: self.use)
        settings = Settings(poll_interval=timedelta(seconds=0.05))
        slots = Slots(
            [
                Slot(n, self._train, engine=self.engine, settings=settings, allocator=allocator)
                for n in slot_names("w", count)
            ]
        )
        threads = [threading.Thread(target=slot.run) for slot in slots.slots]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            slots.stop()
            for thread in threads:
                thread.join(timeout=10)
        assert not any(thread.is_alive() for thread in threads)

    def _train(self, claim: Claim, is_stopping: Callable[[], bool], share: GpuShare) -> bool:
        done = self._let_go[claim.run_id]
        self.shares[claim.run_id] = share
        while not done.wait(0.01) and not is_stopping():
            pass
        with transaction(self.engine) as session:
            endings.finish(session, claim.run_id, claim.token, "succeeded")
        del self.shares[claim.run_id]
        return False

    def submit(self, gb: float | None) -> str:
        wanted = request(None, **{"resources.gpu_memory_gb": gb})
        with transaction(self.engine) as session:
            run_id = lifecycle.create(session, wanted, wanted.resolve()).id
            self._let_go[run_id] = threading.Event()  # before it can be claimed
            return run_id

    def let_go(self, run_id: str) -> None:
        self._let_go[run_id].set()

    def wait_for(self, *run_ids: str) -> None:
        """Returns once these are trained, and no others."""
        while set(self.shares) != set(run_ids):
            time.sleep(0.01)

    def workers(self) -> dict[str, str | None]:
        """What each worker that is known trains."""
        with reading(self.engine) as session:
            return {worker.name: worker.run_id for worker in workers.list_workers(session)}

    def reasons(self, run_id: str) -> list[str]:
        with reading(self.engine) as session:
            return [reason.text for reason in why_waiting(session, lifecycle.get(session, run_id), EQUAL).reasons]

    def wait_for_reason(self, run_id: str, text: str) -> None:
        while text not in self.reasons(run_id):
            time.sleep(0.01)


@pytest.fixture
def ward(engine: Engine) -> Ward:
    return Ward(engine)


def test_slots_share_a_gpu_and_a_run_that_does_not_fit_waits_with_its_reason(ward: Ward) -> None:
    first, second = ward.submit(30), ward.submit(40)
    with ward.slots(3):
        ward.wait_for(first, second)
        assert ward.shares[first] == GpuShare(device="cuda:0", gpus=(0,), gpu_memory=30 * GB)
        third = ward.submit(20)
        ward.wait_for_reason(third, "GPU 0 of worker w has 10.0 GB free of 80.0, and the next run wants 20 GB")
        ward.let_go(first)
        ward.wait_for(second, third)
        assert ward.reasons(third) == []


def test_runs_that_would_fit_do_not_pass_by_one_that_waits_for_a_whole_gpu(ward: Ward) -> None:
    small = ward.submit(10)
    with ward.slots(3):
        ward.wait_for(small)
        whole, later = ward.submit(None), ward.submit(10)
        ward.wait_for_reason(
            whole, "GPU 0 of worker w trains 1 runs that share it, and the next run wants it for itself"
        )
        assert set(ward.shares) == {small}
        ward.let_go(small)
        ward.wait_for(whole)
        ward.let_go(whole)
        ward.wait_for(later)


def test_while_others_use_the_gpu_nothing_is_claimed_and_the_run_says_why(ward: Ward) -> None:
    ward.use = TAKEN
    run_id = ward.submit(None)
    with ward.slots(1):
        ward.wait_for_reason(
            run_id,
            f"GPU 0 of worker w is in use by a process outside the service: pid {2**22}, 8583 MiB",
        )
        with reading(ward.engine) as session:
            (worker,) = workers.list_workers(session)
        assert worker.obstacle == ward.reasons(run_id)[0]
        assert worker.gpu_memory == TOTAL
        assert ward.shares == {}
        ward.use = EMPTY
        ward.wait_for(run_id)


def test_a_drained_slot_leaves_the_others_alone(ward: Ward) -> None:
    first = ward.submit(10)
    with ward.slots(2):
        ward.wait_for(first)
        while len(known := ward.workers()) < 2:
            time.sleep(0.01)
        (idle,) = [name for name, run_id in known.items() if run_id is None]
        with transaction(ward.engine) as session:
            workers.drain(session, idle)
        second = ward.submit(10)
        ward.let_go(first)
        ward.wait_for(second)
        assert ward.workers()[idle] is None


def test_one_slot_has_the_workers_name_and_several_have_numbers() -> None:
    assert slot_names("w@host", 1) == ["w@host"]
    assert slot_names("w@host", 2) == ["w@host.1", "w@host.2"]


# --- a whole worker ---------------------------------------------------------------------------------------------

FAKE_DRIVER = f"""
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from pathlib import Path
from types import SimpleNamespace
from tests.support.nvml import driver, process
from worker import gpus
is_taken = Path(sys.argv.pop()).exists
gpus.nvml = driver(
    nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(used=9 * 10**9 if is_taken() else 0, total=80 * 10**9),
    nvmlDeviceGetComputeRunningProcesses=lambda _: [process(2**22, 9 * 10**9)] if is_taken() else [],
)
from worker.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def clinic(sqlite_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, sqlite_url)


def test_a_worker_waits_for_its_gpu_and_then_trains_two_runs_on_it_at_once(clinic: Clinic) -> None:
    taken, log = clinic.home / "taken", clinic.home / "worker.log"
    taken.touch()
    half = {"resources.gpu_memory_gb": 40, "training.epochs": 1000}
    ids = [clinic.create_run(**half), clinic.create_run(**half)]
    # With `auto` its trainings find no CUDA here, and compute on the CPU.
    environment = clinic.environment(GANCLINIC_DEVICE="auto", GANCLINIC_SLOTS_PER_GPU="2", CUDA_VISIBLE_DEVICES="0")
    command = [sys.executable, "-c", FAKE_DRIVER, "--name", "w", str(taken)]
    with running(command, log=log, ready=lambda: True, cwd=CHECKOUT, env=environment) as worker:
        while "claims nothing now: GPU 0 of worker w is in use by a process outside" not in log.read_text():
            time.sleep(0.05)
        assert [clinic.run(run_id).status for run_id in ids] == ["queued", "queued"]
        taken.unlink()
        for run_id in ids:
            clinic.wait_for_epoch(run_id, 1)
        assert {clinic.run(run_id).lease_worker for run_id in ids} == {"w.1", "w.2"}
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=20) == 0
    assert [clinic.run(run_id).status for run_id in ids] == ["queued", "queued"]
    assert [a.outcome for run_id in ids for a in clinic.attempts(run_id)] == ["handed over", "handed over"]
    assert "Traceback" not in log.read_text()


def test_a_worker_on_gpus_that_are_not_there_says_so_and_ends(clinic: Clinic) -> None:
    log = clinic.home / "worker.log"
    command = [sys.executable, "-m", "worker", "--gpus", "all", "--slots-per-gpu", "2"]
    environment = clinic.environment(CUDA_VISIBLE_DEVICES="")
    with running(command, log=log, ready=lambda: True, cwd=CHECKOUT, env=environment) as worker:
        assert worker.wait(timeout=20) == 1
    assert "gpus: 'all', and the driver tells of 0 GPUs that this process may use" in log.read_text()
