"""What the driver says of NVIDIA GPUs. Everything is empty where there is none. Imports no torch."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pynvml
from sqlalchemy import Engine

from store import gpu_readings
from store.db import transaction
from store.errors import DatabaseUnavailable
from store.gpu_readings import Gpu

READ_INTERVAL_S = 15.0
nvml = cast(Any, pynvml)

logger = logging.getLogger(__name__)


@contextmanager
def _driver() -> Iterator[bool]:
    """Whether there is a driver to be asked in the block."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        nvml.nvmlShutdown()


def driver_version() -> str | None:
    """Of the NVIDIA driver; None where there is none."""
    with _driver() as is_there:
        return _text(nvml.nvmlSystemGetDriverVersion()) if is_there else None


def read_gpus() -> list[Gpu]:
    """Every GPU of this machine that answers."""
    with _driver() as is_there:
        if not is_there:
            return []
        numbers = range(nvml.nvmlDeviceGetCount())
        return [gpu for gpu in map(_read_gpu, numbers) if gpu is not None]


def _read_gpu(number: int) -> Gpu | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return Gpu(
            number=number,
            name=_text(nvml.nvmlDeviceGetName(handle)),
            utilisation=nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
            memory_used=int(memory.used),
            memory_total=int(memory.total),
        )
    except nvml.NVMLError as error:  # e.g. a part of a GPU, whose utilisation the driver does not know
        logger.debug("GPU %d says nothing: %s", number, error)
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class GpuReader:
    """Stores what the GPUs of this machine do, in a thread of its own; without GPUs it does nothing."""

    def __init__(self, worker: str, engine: Engine) -> None:
        self._worker, self._engine = worker, engine
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpus", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while gpus := read_gpus():
            try:
                with transaction(self._engine) as session:
                    gpu_readings.store(session, self._worker, gpus)
            except DatabaseUnavailable as error:
                logger.warning("what the GPUs do is not stored: %s", error)
            if self._stopped.wait(READ_INTERVAL_S):
                return
