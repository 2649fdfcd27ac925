"""What the driver says of GPUs, with a driver that is a fake."""

from types import SimpleNamespace
from typing import Any

import pytest

from store.gpu_readings import Gpu
from worker import gpus


class FakeError(Exception):
    """As NVML's."""


def driver(**changes: Any) -> SimpleNamespace:
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
    }
    return SimpleNamespace(**calls | changes)


def test_a_gpu_that_does_not_answer_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "nvml", driver())
    assert gpus.read_gpus() == [Gpu(number=0, name="NVIDIA H100", utilisation=0.37, memory_used=10, memory_total=80)]
    assert gpus.driver_version() == "580.1"


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise FakeError("Driver Not Loaded")

    monkeypatch.setattr(gpus, "nvml", driver(nvmlInit=fail))
    assert gpus.read_gpus() == []
    assert gpus.driver_version() is None
