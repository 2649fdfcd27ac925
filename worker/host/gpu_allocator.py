"""What a worker's GPUs have room for: its slots share each of them by memory, beside what others do there.

A training has a GPU for itself, or as much of its memory as its spec asks for (`resources.gpu_memory_gb`). Nothing
begins on a GPU that a process outside the service uses. Without GPUs there is always room. Imports no torch.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from typing_extensions import override

from store.core.settings import Settings, visible_gpus
from store.scheduling.requirements import GB, Place, ResourceRequests
from worker.gpus import GpuUse, Process, count_gpus, read_use

ALLOWANCE = 256 * 1024**2
"""Bytes that a process outside the service may use: a monitor does, no training gets by with it. Our choice."""
FREE_SHARE = 0.9
"""Of a GPU's memory, free for a training that has it for itself: a desktop and the driver take some percent."""
MIB = 1024**2
MOST_NAMED = 3
TRAININGS = (b"worker.attempt.training", b"worker.attempt.process_group")
"""One of them is in the command line of every training process of the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuShare:
    """What a training has."""

    device: str
    """As torch calls it, or `auto`."""
    more_devices: tuple[str, ...] = ()
    """Of the other processes of a training on several GPUs."""
    gpus: tuple[int, ...] = ()
    """Numbers of its GPUs."""
    gpu_memory: int | None = None
    """Bytes of the GPU that it may take; None: all."""
    bf16_speedup: float | None = None
    """How many times as fast the CPU multiplies in bf16 as in float32, of a training on it; None: not measured."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Gpu:
    number: int
    device: str
    total: int
    shares: list[GpuShare] = field(default_factory=list[GpuShare])


class NoSuchGpu(ValueError):
    """A worker is to train on a GPU that is not there."""


def make_allocator(worker: str, settings: Settings) -> "GpuAllocator":
    """The room on the GPUs of the settings.

    Raises:
        NoSuchGpu: `gpus` names one that the driver does not tell of.
    """
    visible = visible_gpus()
    devices = _devices(settings, count_gpus(visible))
    allocator = GpuAllocator(
        worker,
        devices,
        read=partial(read_use, visible=visible),
        without_gpu=settings.device,
        cpu_processes=settings.cpu_processes,
        labels=settings.worker_labels,
    )
    if settings.gpus is not None and (not devices or allocator.gpus < len(devices)):
        raise NoSuchGpu(
            f"gpus: '{settings.gpus}', and the driver tells of {count_gpus(visible)} GPUs that this process may use; "
            "see nvidia-smi and CUDA_VISIBLE_DEVICES, or start a worker with --device cpu"
        )
    return allocator


def _devices(settings: Settings, count: int) -> dict[int, str]:
    """Number of each GPU that the settings want, and how its trainings call it."""
    if settings.gpus is not None:
        numbers = range(count) if settings.gpus == "all" else sorted({int(n) for n in settings.gpus.split(",")})
        return {number: f"cuda:{number}" for number in numbers}
    if settings.device == "cpu":
        return {}
    number = int(settings.device.partition(":")[2] or 0)  # `auto` and `cuda` take the first
    return {number: settings.device} if number < count else {}


class Offer(Place):
    """The room that there is at one moment, for one claim."""

    def __init__(self, allocator: "GpuAllocator") -> None:
        self._allocator = allocator
        self.share: GpuShare | None = None
        """What the last run that it took would have."""
        self.obstacle: str | None = None
        """Why it did not take the last run."""

    @property
    @override
    def largest_gpu(self) -> int | None:
        return self._allocator.largest_gpu

    @property
    @override
    def most_gpus(self) -> int:
        return self._allocator.most_gpus

    @property
    @override
    def labels(self) -> tuple[str, ...]:
        return self._allocator.labels

    @override
    def takes(self, needs: ResourceRequests) -> bool:
        self.share, self.obstacle = self._allocator.find(needs)
        return self.share is not None


class GpuAllocator:
    """The GPUs of a worker, and what its trainings have of them. Slots of several threads use it."""

    def __init__(
        self,
        worker: str,
        devices: Mapping[int, str],
        *,
        read: Callable[[int], GpuUse | None],
        without_gpu: str = "cpu",
        cpu_processes: int = 1,
        labels: Collection[str] = (),
    ) -> None:
        """`devices`: number of each GPU, as CUDA counts, and how its trainings call it; those that answer `read` count.

        `without_gpu`: the device of trainings where there is no GPU, or that want none; there each may have
        `cpu_processes`. `labels`: that runs may ask for.
        """
        self.labels = tuple(labels)
        self.bf16_speedup: float | None = None
        """Of the CPU, once it was measured: see `Bf16Speedup`."""
        self._cpu_processes = cpu_processes
        self._worker, self._read, self._without_gpu = worker, read, without_gpu
        found = {number: read(number) for number in devices}
        self._gpus = [
            _Gpu(number=number, device=devices[number], total=use.memory_total)
            for number, use in found.items()
            if use is not None
        ]
        self._lock = threading.Lock()

    def __str__(self) -> str:
        gpus = [f"GPU {gpu.number} ({gpu.total / GB:.1f} GB)" for gpu in self._gpus]
        return ", ".join(gpus) if gpus else f"on device {self._without_gpu}"

    @property
    def gpus(self) -> int:
        """How many there are."""
        return len(self._gpus)

    @property
    def most_gpus(self) -> int:
        """GPUs that one run may have, or processes where there is none."""
        return len(self._gpus) or self._cpu_processes

    @property
    def largest_gpu(self) -> int | None:
        """Bytes of memory of the largest GPU; None where there is none."""
        return max((gpu.total for gpu in self._gpus), default=None)

    @contextmanager
    def offer(self) -> Iterator[Offer]:
        """The room that there is while this is entered, which only one slot at a time does."""
        with self._lock:
            yield Offer(self)

    @contextmanager
    def holding(self, share: GpuShare) -> Iterator[None]:
        """Gives the share back in the end."""
        try:
            yield
        finally:
            with self._lock:
                for gpu in self._gpus:
                    gpu.shares = [held for held in gpu.shares if held is not share]

    def take(self, offer: Offer) -> GpuShare:
        """Keeps the share of an offer that is still entered and has taken a run."""
        share = offer.share
        assert share is not None, "claimed are only runs that the offer takes"
        for gpu in self._gpus:
            if gpu.number in share.gpus:
                gpu.shares.append(share)
        return share

    def find(self, needs: ResourceRequests) -> tuple[GpuShare | None, str | None]:
        """A share for such a run, or why there is none. On the fullest GPU that has room, so that others stay empty."""
        if not self._gpus or not needs.on_gpu:
            return GpuShare(device=self._without_gpu, bf16_speedup=self.bf16_speedup), None
        free: list[_Gpu] = []
        obstacles: list[str] = []
        for gpu in sorted(self._gpus, key=lambda gpu: -len(gpu.shares)):
            obstacle = self._obstacle(gpu, needs)
            if obstacle is not None:
                obstacles.append(f"GPU {gpu.number} of worker {self._worker} {obstacle}")
                continue
            free.append(gpu)
            if len(free) == needs.gpus:
                return _share(free, needs.gpu_memory), None
        several = f"the next run wants {needs.gpus} GPUs at once: " if needs.gpus > 1 else ""
        return None, several + "; ".join(sorted(obstacles))

    def _obstacle(self, gpu: _Gpu, needs: ResourceRequests) -> str | None:
        use = self._read(gpu.number) or GpuUse(memory_total=gpu.total, memory_used=0, processes=())
        ours, others = _split(use.processes, is_training_there=bool(gpu.shares))
        large = [process for process in others if (process.memory or 0) > ALLOWANCE]
        if large:
            return f"is in use by {_named(large)}"
        if any(share.gpu_memory is None for share in gpu.shares):
            return "trains a run that has it for itself"
        elsewhere = max(0, use.memory_used - _memory_of(ours, gpu.shares))
        free = gpu.total - elsewhere - sum(share.gpu_memory or 0 for share in gpu.shares)
        if needs.gpu_memory is not None:
            is_enough = needs.gpu_memory <= free
            wants = f"the next run wants {needs.gpu_memory / GB:g} GB"
        elif gpu.shares:
            return f"trains {len(gpu.shares)} runs that share it, and the next run wants it for itself"
        else:
            is_enough = free >= FREE_SHARE * gpu.total
            wants = f"the next run wants it for itself ({FREE_SHARE:.0%} of its memory free)"
        if is_enough:
            return None
        return f"has {max(0, free) / GB:.1f} GB free of {gpu.total / GB:.1f}, and {wants}"


def _share(gpus: Sequence[_Gpu], gpu_memory: int | None) -> GpuShare:
    first, *more = (gpu.device for gpu in gpus)
    numbers = tuple(gpu.number for gpu in gpus)
    return GpuShare(device=first, more_devices=tuple(more), gpus=numbers, gpu_memory=gpu_memory)


def _split(processes: Sequence[Process], *, is_training_there: bool) -> tuple[list[Process], list[Process]]:
    """Training processes of the service, and others.

    In a container the driver may list ids of the host, of which nothing is known here. They are ours where we train.
    """
    ours = [p for p in processes if (is_ours := _is_training(p.id)) or (is_ours is None and is_training_there)]
    return ours, [process for process in processes if process not in ours]


def _is_training(process_id: int) -> bool | None:
    """Whether that is a training process of the service; None where it cannot be seen."""
    try:
        line = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return None
    return any(name in line for name in TRAININGS)


def _memory_of(ours: Sequence[Process], shares: Sequence[GpuShare]) -> int:
    """Bytes that our trainings use; what they may use, where the driver does not tell of each."""
    known = [process.memory for process in ours if process.memory is not None]
    if len(known) < max(len(ours), len(shares)):
        return sum(share.gpu_memory or 0 for share in shares)
    return sum(known)


def _named(processes: Sequence[Process]) -> str:
    """`a process outside the service: pid 4711, 12000 MiB`; the largest few of many."""
    by_size = sorted(processes, key=lambda process: -(process.memory or 0))
    named = [f"pid {process.id}, {(process.memory or 0) // MIB} MiB" for process in by_size[:MOST_NAMED]]
    which = "a process" if len(processes) == 1 else f"{len(processes)} processes"
    return f"{which} outside the service: {'; '.join(named)}"
