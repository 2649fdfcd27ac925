"""What the driver says of GPUs, with a driver that is a fake."""

import pytest

from store.scheduling.gpu_readings import Gpu
from tests.support.nvml import FakeError, driver
from worker import gpus


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


def test_a_driver_that_does_not_say_its_version_fails_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise FakeError("GPU is lost")

    monkeypatch.setattr(gpus, "nvml", driver(nvmlSystemGetDriverVersion=fail, nvmlShutdown=fail))
    assert gpus.driver_version() is None
    assert gpus.has_driver()
