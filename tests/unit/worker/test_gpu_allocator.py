"""What a worker's GPUs have room for, with GPUs that are made up and processes that are real."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.core.settings import Settings
from store.scheduling.requirements import GB, ResourceRequests
from tests.support.nvml import FakeError, driver, process
from worker import gpus
from worker.gpus import GpuUse, Process, read_use
from worker.host.gpu_allocator import MIB, GpuAllocator, GpuShare, NoSuchGpu, Offer, make_allocator

WHOLE = ResourceRequests(on_gpu=True, gpu_memory=None)
TOTAL = 80 * GB
NO_PROCESS = 2**22  # ids are below, on every Linux


def needs(gb: float) -> ResourceRequests:
    return ResourceRequests(on_gpu=True, gpu_memory=round(gb * GB))


class Machine:
    """GPUs of 80 GB each, whose use a test sets."""

    def __init__(self, count: int = 1) -> None:
        self.uses = {number: GpuUse(memory_total=TOTAL, memory_used=0, processes=()) for number in range(count)}
        self.allocator = GpuAllocator("w", {n: f"cuda:{n}" for n in self.uses}, read=self.uses.get)

    def use(self, number: int, used: float, *processes: tuple[int, float | None]) -> None:
        on_it = tuple(Process(id=i, memory=None if m is None else round(m * GB)) for i, m in processes)
        self.uses[number] = GpuUse(memory_total=TOTAL, memory_used=round(used * GB), processes=on_it)

    def offer(self, wanted: ResourceRequests) -> Offer:
        with self.allocator.offer() as offer:
            offer.takes(wanted)
        return offer

    def take(self, wanted: ResourceRequests) -> GpuShare:
        with self.allocator.offer() as offer:
            assert offer.takes(wanted), offer.obstacle
            return self.allocator.take(offer)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture(params=["worker.attempt.training", "worker.attempt.process_group"])
def training(request: pytest.FixtureRequest) -> Iterator[int]:
    """The id of a process whose command line is that of a training."""
    command = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()", "-m", request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as started:
        while request.param.encode() not in Path(f"/proc/{started.pid}/cmdline").read_bytes():
            pass  # between fork and exec it has our own
        yield started.pid


def test_a_run_has_a_gpu_for_itself_unless_it_asks_for_less(machine: Machine) -> None:
    share = machine.take(WHOLE)
    assert share == GpuShare(device="cuda:0", gpus=(0,), gpu_memory=None)
    assert machine.offer(needs(1)).obstacle == "GPU 0 of worker w trains a run that has it for itself"
    with machine.allocator.holding(share):
        pass
    assert machine.offer(needs(1)).share is not None


def test_runs_share_a_gpu_for_as_long_as_their_memory_fits(machine: Machine) -> None:
    machine.take(needs(30))
    second = machine.take(needs(30))
    assert (second.device, second.gpu_memory) == ("cuda:0", 30 * GB)
    words = "GPU 0 of worker w has 20.0 GB free of 80.0, and the next run wants 30 GB"
    assert machine.offer(needs(30)).obstacle == words
    assert machine.offer(WHOLE).obstacle == (
        "GPU 0 of worker w trains 2 runs that share it, and the next run wants it for itself"
    )
    assert machine.offer(needs(20)).share is not None


def test_the_fullest_gpu_that_has_room_is_taken_so_that_others_stay_empty() -> None:
    machine = Machine(2)
    assert [machine.take(needs(30)).device for _ in range(3)] == ["cuda:0", "cuda:0", "cuda:1"]
    assert machine.take(needs(20)).device == "cuda:0"


def test_a_run_on_several_gpus_has_each_for_itself() -> None:
    machine, both = Machine(3), ResourceRequests(on_gpu=True, gpu_memory=None, gpus=2)
    small = machine.take(needs(1))
    share = machine.take(both)
    assert share == GpuShare(device="cuda:1", more_devices=("cuda:2",), gpus=(1, 2))
    assert machine.offer(WHOLE).share is None
    assert str(machine.offer(both).obstacle).startswith("the next run wants 2 GPUs at once: GPU 0 of worker w trains 1")
    with machine.allocator.holding(share):
        pass
    assert machine.offer(both).share == share
    with machine.allocator.holding(small):
        pass
    assert machine.allocator.most_gpus == 3


def test_without_a_gpu_a_run_may_have_as_many_processes_as_the_setting_says() -> None:
    allocator = GpuAllocator("w", {}, read=lambda _: None, without_gpu="auto", cpu_processes=4)
    assert allocator.most_gpus == 4
    assert allocator.find(ResourceRequests(on_gpu=True, gpu_memory=None, gpus=4)) == (GpuShare(device="auto"), None)


def test_where_no_gpu_has_room_each_is_named() -> None:
    machine = Machine(2)
    machine.use(0, 9, (os.getpid(), 9))
    machine.take(WHOLE)
    assert machine.offer(WHOLE).obstacle == (
        f"GPU 0 of worker w is in use by a process outside the service: pid {os.getpid()}, {9 * GB // MIB} MiB; "
        "GPU 1 of worker w trains a run that has it for itself"
    )


def test_nothing_begins_on_a_gpu_that_others_use(machine: Machine) -> None:
    machine.use(0, 12, (os.getpid(), 12))
    for wanted in (WHOLE, needs(1)):
        obstacle = f"is in use by a process outside the service: pid {os.getpid()}, {12 * GB // MIB} MiB"
        assert machine.offer(wanted).obstacle == f"GPU 0 of worker w {obstacle}"
    machine.use(0, 0)
    assert machine.offer(WHOLE).share is not None


def test_the_largest_of_many_processes_are_named(machine: Machine) -> None:
    machine.use(0, 12, *((NO_PROCESS + n, 1 + n) for n in range(5)))
    assert str(machine.offer(WHOLE).obstacle).startswith(
        f"GPU 0 of worker w is in use by 5 processes outside the service: pid {NO_PROCESS + 4}, "
    )
    assert str(machine.offer(WHOLE).obstacle).count("pid") == 3


def test_a_process_that_takes_next_to_nothing_is_in_nobodys_way(machine: Machine) -> None:
    machine.use(0, 0.2, (os.getpid(), 0.2))
    assert machine.offer(WHOLE).share is not None


def test_memory_that_no_listed_process_uses_counts_too(machine: Machine) -> None:
    machine.use(0, 10)
    assert machine.offer(WHOLE).obstacle == (
        "GPU 0 of worker w has 70.0 GB free of 80.0, and the next run wants it for itself (90% of its memory free)"
    )
    assert machine.offer(needs(70)).share is not None
    assert machine.offer(needs(71)).share is None
    machine.use(0, 7.9)
    assert machine.offer(WHOLE).share is not None


def test_trainings_of_the_service_are_no_others_and_their_memory_counts_once(machine: Machine, training: int) -> None:
    machine.take(needs(30))
    machine.use(0, 20, (training, 20))
    assert machine.offer(needs(50)).share is not None
    assert machine.offer(needs(51)).share is None


def test_a_training_of_another_worker_leaves_room(machine: Machine, training: int) -> None:
    machine.use(0, 20, (training, 20))
    assert machine.offer(WHOLE).share is not None  # as two workers on one GPU always did


@pytest.mark.parametrize("processes", [[], [(NO_PROCESS, 20.0)], [(NO_PROCESS, None)]])
def test_in_a_container_that_cannot_see_them_trainings_are_ours_where_we_train(
    machine: Machine, processes: Any
) -> None:
    machine.take(needs(30))
    machine.use(0, 20, *processes)
    assert machine.offer(needs(50)).share is not None
    assert machine.offer(needs(61)).share is None


def test_a_process_that_cannot_be_seen_is_another_where_we_do_not_train(machine: Machine) -> None:
    machine.use(0, 20, (NO_PROCESS, 20))
    assert machine.offer(WHOLE).share is None


def test_a_driver_that_falls_silent_hinders_nobody(machine: Machine) -> None:
    machine.uses.clear()
    assert machine.offer(WHOLE).share is not None
    assert machine.allocator.largest_gpu == TOTAL


def test_a_run_on_the_cpu_asks_no_gpu(machine: Machine) -> None:
    machine.use(0, 80, (os.getpid(), 80))
    assert machine.take(ResourceRequests(on_gpu=False, gpu_memory=None)) == GpuShare(device="cpu")


# --- which GPUs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "visible", "devices"),
    [
        ({"device": "auto"}, None, [(0, "auto")]),
        ({"device": "cuda:1"}, None, [(1, "cuda:1")]),
        ({"device": "cpu"}, None, []),
        ({"device": "auto"}, "", []),
        ({"device": "cuda:1"}, "1", []),  # of one GPU that is visible: the training will say so
        ({"gpus": "all"}, None, [(0, "cuda:0"), (1, "cuda:1")]),
        ({"gpus": "all"}, "1", [(0, "cuda:0")]),
        ({"gpus": "1"}, None, [(1, "cuda:1")]),
    ],
)
def test_the_settings_say_which_gpus_a_worker_has(
    settings: dict[str, Any], visible: str | None, devices: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "nvml", driver())
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    allocator = make_allocator("w", Settings(**settings))
    assert [(gpu.number, gpu.device) for gpu in allocator._gpus] == devices


@pytest.mark.parametrize(("wanted", "count"), [("all", 0), ("0,2", 2), ("5", 2)])
def test_gpus_that_are_not_there_are_refused(wanted: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(number: int) -> int:
        if number >= count:
            raise FakeError("Invalid Argument")
        return number

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake = driver(nvmlDeviceGetCount=lambda: count, nvmlDeviceGetHandleByIndex=handle)
    monkeypatch.setattr(gpus, "nvml", fake)
    with pytest.raises(NoSuchGpu, match=rf"gpus: '{wanted}', and the driver tells of {count} GPUs"):
        make_allocator("w", Settings(gpus=wanted))


def test_the_driver_tells_what_is_on_the_gpu_that_cuda_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = {1: [process(7, 5), process(8, None)], b"GPU-abc": [process(9, 6)]}
    fake = driver(
        nvmlDeviceGetHandleByUUID=lambda name: name, nvmlDeviceGetComputeRunningProcesses=lambda handle: on_gpu[handle]
    )
    monkeypatch.setattr(gpus, "nvml", fake)
    listed = (Process(id=7, memory=5), Process(id=8, memory=None))
    assert read_use(1, None) == GpuUse(memory_total=80, memory_used=10, processes=listed)
    assert read_use(0, "1") == read_use(1, None)
    by_name = read_use(1, "1, GPU-abc")
    assert by_name is not None
    assert by_name.processes == (Process(id=9, memory=6),)
    assert read_use(2, "1,GPU-abc") is None


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetComputeRunningProcesses"])
def test_a_driver_that_fails_says_nothing(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise FakeError("GPU is lost")

    monkeypatch.setattr(gpus, "nvml", driver(**{call: fail}))
    assert read_use(0, None) is None
