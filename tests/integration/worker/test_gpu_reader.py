"""What a worker stores of its GPUs, with a driver that is a fake."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine

from store.core.db import reading
from store.scheduling import gpu_readings
from tests.support.nvml import FakeError, driver
from worker import gpus
from worker.gpus import GpuReader


@contextmanager
def running(reader: GpuReader) -> Iterator[None]:
    reader.start()
    yield
    reader.stop()


def number_of_readings(engine: Engine) -> int:
    with reading(engine) as session:
        return len(gpu_readings.fresh(session))


def failing_until(is_well: Callable[[], bool]) -> Callable[[], int]:
    """Counts two GPUs once it is well."""

    def count() -> int:
        if not is_well():
            raise FakeError("GPU is lost")
        return 2

    return count


def test_a_reading_that_fails_is_followed_by_others(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpus, "READ_INTERVAL_S", 0.01)
    monkeypatch.setattr(gpus, "nvml", driver(nvmlDeviceGetCount=failing_until(lambda: "GPU is lost" in caplog.text)))
    with running(GpuReader("worker-1", sqlite_engine)):
        while number_of_readings(sqlite_engine) == 0:
            time.sleep(0.01)


def test_a_moment_without_gpus_is_not_the_end(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([0])
    monkeypatch.setattr(gpus, "READ_INTERVAL_S", 0.01)
    monkeypatch.setattr(gpus, "nvml", driver(nvmlDeviceGetCount=lambda: next(counts, 2)))
    with running(GpuReader("worker-1", sqlite_engine)):
        while number_of_readings(sqlite_engine) == 0:
            time.sleep(0.01)


def test_without_a_driver_nothing_is_read(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise FakeError("Driver Not Loaded")

    monkeypatch.setattr(gpus, "nvml", driver(nvmlInit=fail))
    reader = GpuReader("worker-1", sqlite_engine)
    reader.start()
    reader._periodic._thread.join()  # it has ended by itself
    assert number_of_readings(sqlite_engine) == 0
