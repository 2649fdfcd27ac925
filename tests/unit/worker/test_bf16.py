"""A worker's speed in bf16: measured beside its work, once, and never at its expense."""

import sys
import time
from pathlib import Path

import pytest

from worker.gpus import GpuUse
from worker.host.bf16 import MEASURE, Bf16Speedup
from worker.host.gpu_allocator import GpuAllocator
from worker.messages import Ticket

TIMEOUT_S = 120.0


def allocator_with(gpus: int = 0) -> GpuAllocator:
    use = GpuUse(memory_total=10**10, memory_used=0, processes=())
    return GpuAllocator("left", {n: f"cuda:{n}" for n in range(gpus)}, read=lambda _: use)


def measured(allocator: GpuAllocator, command: tuple[str, ...], timeout_s: float = TIMEOUT_S) -> float | None:
    """What the allocator was told before the time was up."""
    bf16 = Bf16Speedup(allocator, command)
    bf16.start()
    until = time.monotonic() + timeout_s
    while allocator.bf16_speedup is None and time.monotonic() < until:
        time.sleep(0.02)
    bf16.stop()
    return allocator.bf16_speedup


def test_the_speed_of_this_machine_is_measured_by_a_process_with_torch() -> None:
    speedup = measured(allocator_with(), MEASURE)
    assert speedup is not None
    assert 0.01 < speedup < 100


@pytest.mark.parametrize(
    "command",
    [(sys.executable, "-c", "raise SystemExit(1)"), (sys.executable, "-c", "print('fast')"), ("/no/such/program",)],
)
def test_a_measurement_that_fails_leaves_it_unknown(command: tuple[str, ...]) -> None:
    assert measured(allocator_with(), command, timeout_s=1.0) is None


def test_a_worker_that_stops_does_not_wait_for_it(tmp_path: Path) -> None:
    bf16 = Bf16Speedup(allocator_with(), (sys.executable, "-c", "import time; time.sleep(600)"))
    bf16.start()
    started = time.monotonic()
    bf16.stop()
    assert time.monotonic() - started < 30


def test_a_worker_on_gpus_measures_nothing() -> None:
    assert measured(allocator_with(gpus=1), (sys.executable, "-c", "print(2.0)"), timeout_s=0.5) is None


def test_a_ticket_carries_it() -> None:
    ticket = Ticket(run_id="0123456789abcdef", token=1, attempt=1, device="cpu", bf16_speedup=0.62)
    assert Ticket.model_validate_json(ticket.to_line()).bf16_speedup == 0.62
