"""What the driver says of NVIDIA GPUs. Everything is empty where there is none. Imports no torch."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, cast

import pynvml
from sqlalchemy import Engine

from store.core.db import transaction
from store.core.errors import DatabaseUnavailable
from store.scheduling import gpu_readings
from store.scheduling.gpu_readings import Gpu
from worker.periodic import Periodic

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
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def driver_version() -> str | None:
    """Of the NVIDIA driver; None where there is none, or it does not say."""
    with _driver() as is_there:
        try:
            return _text(nvml.nvmlSystemGetDriverVersion()) if is_there else None
        except nvml.NVMLError:
            return None


def has_driver() -> bool:
    """Whether there is an NVIDIA driver to be asked."""
    with _driver() as is_there:
        return is_there


def read_gpus() -> list[Gpu]:
    """Every GPU of this machine that answers.

    Raises:
        pynvml.NVMLError: the driver does not say how many there are.
    """
    with _driver() as is_there:
        if not is_there:
            return []
        numbers = range(nvml.nvmlDeviceGetCount())
        return [gpu for gpu in map(_read_gpu, numbers) if gpu is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that computes on a GPU."""

    id: int
    """As the driver tells it; in a container maybe one of the host."""
    memory: int | None
    """In bytes; None: the driver does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """What is on a GPU at a moment."""

    memory_total: int
    """In bytes, as the next."""
    memory_used: int
    processes: tuple[Process, ...]


def count_gpus(visible: str | None) -> int:
    """GPUs that a training may use; 0 without a driver. `visible` is what CUDA_VISIBLE_DEVICES says."""
    with _driver() as is_there:
        try:
            count = int(nvml.nvmlDeviceGetCount()) if is_there else 0
        except nvml.NVMLError:
            return 0
    return count if visible is None else min(count, len(_names(visible)))


def read_use(number: int, visible: str | None) -> GpuUse | None:
    """What is on the GPU that CUDA calls `number`; None where the driver does not say.

    CUDA counts what CUDA_VISIBLE_DEVICES says (`visible`), and all GPUs as the driver does without it: training
    processes are told to order them so.
    """
    with _driver() as is_there:
        try:
            return _read_use(number, visible) if is_there else None
        except (nvml.NVMLError, LookupError, ValueError) as error:
            logger.debug("GPU %d says nothing: %s", number, error)
            return None


def _read_use(number: int, visible: str | None) -> GpuUse:
    name = str(number) if visible is None else _names(visible)[number]
    by_number = name.isdigit()
    handle = nvml.nvmlDeviceGetHandleByIndex(int(name)) if by_number else nvml.nvmlDeviceGetHandleByUUID(name.encode())
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    processes = [
        Process(id=int(process.pid), memory=None if process.usedGpuMemory is None else int(process.usedGpuMemory))
        for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    ]
    return GpuUse(memory_total=int(memory.total), memory_used=int(memory.used), processes=tuple(processes))


def _names(visible: str) -> list[str]:
    """Numbers or ids of GPUs; as CUDA does, nothing after the first that is none."""
    names = [part.strip() for part in visible.split(",")]
    return list(takewhile(lambda name: name not in ("", "-1"), names))


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
    """Stores what the GPUs of this machine do, in a thread of its own; without a driver it does nothing."""

    def __init__(self, worker: str, engine: Engine) -> None:
        self._worker, self._engine = worker, engine
        self._periodic = Periodic("gpus", self._read, READ_INTERVAL_S, at_once=True, wanted=has_driver)

    def start(self) -> None:
        """Starts the thread; the first reading is made at once, then one every READ_INTERVAL_S."""
        self._periodic.start()

    def stop(self) -> None:
        """Stops the thread, and waits for a reading that goes on."""
        self._periodic.stop()

    def _read(self) -> None:
        try:
            if gpus := read_gpus():
                with transaction(self._engine) as session:
                    gpu_readings.store(session, self._worker, gpus)
        except nvml.NVMLError as error:
            logger.warning("what the GPUs do cannot be read now: %s", error)
        except DatabaseUnavailable as error:
            logger.warning("what the GPUs do is not stored: %s", error)
