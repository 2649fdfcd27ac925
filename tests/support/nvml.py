"""A driver of NVIDIA GPUs that is a fake, in place of `pynvml`."""

from types import SimpleNamespace
from typing import Any


class FakeError(Exception):
    """As NVML's."""


def process(process_id: int, memory: int | None) -> SimpleNamespace:
    """A process on a GPU, as the driver tells it."""
    return SimpleNamespace(pid=process_id, usedGpuMemory=memory)


def driver(**changes: Any) -> SimpleNamespace:
    """Two GPUs, the second of which does not tell its utilisation; `changes` are calls that answer otherwise."""

    def read(handle: int) -> SimpleNamespace:
        if handle == 1:
            raise FakeError("not supported")
        return SimpleNamespace(gpu=37)

    calls: dict[str, Any] = {
        "NVMLError": FakeError,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: b"580.1",
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetName": lambda _: "NVIDIA H100",
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(used=10, total=80),
        "nvmlDeviceGetUtilizationRates": read,
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [],
    }
    return SimpleNamespace(**calls | changes)
