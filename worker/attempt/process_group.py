"""The processes of a training on several GPUs: rank 0 is the training process itself, which starts the others.

They are in its process group, so that what ends the one ends them all, and they end when it is gone. (torchrun would
give each a session of its own, which a kill of the training's group does not reach.) Each is given an `Order` on stdin
and trains its part; sums over all of them are made by torch.distributed: NCCL between GPUs, gloo between CPUs.

    python -m worker.attempt.process_group     # a process that is not rank 0
"""

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import torch
import torch.distributed as dist
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ganlib.data.load import UploadedFiles, load_dataset
from ganlib.spec.run import RunSpec
from ganlib.spec.training import SettledPrecision
from ganlib.training import checkpoint
from ganlib.training.loop import TrainingLoop
from ganlib.training.ranks import ALONE, Ranks
from store.core.settings import Settings
from store.operations.logging import configure_logging
from worker.attempt.channel import ORPHANED
from worker.attempt.device import choose_device, limit_threads
from worker.attempt.out_of_memory import OutOfMemory

COMMAND = (sys.executable, "-m", "worker.attempt.process_group")
OUT_OF_MEMORY = 3  # exit status
TELL_WHO_DIED_S = 1.0
LONGEST_WAIT = timedelta(days=30)  # rank 0 evaluates meanwhile; a process that dies is noticed by its end

logger = logging.getLogger("worker.attempt.process_group")


class Order(BaseModel):
    """What a process that is not rank 0 trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: RunSpec
    rank: int
    device: str
    """As the worker says it: see `choose_device`."""
    threads: int
    precision: SettledPrecision
    samples: Path | None
    """Files of the uploaded set; None for other data."""
    labels: Path | None
    folder: Path
    """Where the processes meet, with the state to begin with."""


class ProcessGroup:
    """The other processes of a training, if any. Leaving the `with` block ends them."""

    def __init__(
        self,
        spec: RunSpec,
        devices: tuple[str, ...],
        threads: int,
        folder: Path,
        *,
        on_death: Callable[[int, int], None],
    ) -> None:
        """`devices`: of each process. `folder`: where they meet; made by `start`, deleted at the end.

        `on_death` is told rank and exit status, in a thread of its own.
        """
        self._spec, self._devices, self._threads, self._on_death = spec, devices, threads, on_death
        self._folder = folder
        self._processes: list[subprocess.Popen[str]] = []
        self._is_over = False

    @property
    def ranks(self) -> Ranks:
        """Rank 0's part; its sums wait for `start`."""
        return ALONE if self._spec.resources.gpus == 1 else Ranks(count=self._spec.resources.gpus, add=add_up)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._processes and kind is not None and may_mean_a_death(kind):
            time.sleep(TELL_WHO_DIED_S)  # torch only says that another is gone: the watcher knows which, and ends us
        self._is_over = True
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, training: TrainingLoop, upload: UploadedFiles | None) -> None:
        """Starts the others where the training is, and returns when all are ready."""
        count = self._spec.resources.gpus
        if count == 1:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        checkpoint.save(_state_file(self._folder), training.state())
        for rank in range(1, count):
            order = Order(
                spec=self._spec,
                rank=rank,
                device=self._devices[rank],
                threads=self._threads,
                precision=training.precision,
                samples=None if upload is None else upload.samples,
                labels=None if upload is None else upload.labels,
                folder=self._folder,
            )
            process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, text=True)
            self._processes.append(process)
            assert process.stdin is not None, "Popen was given PIPE"
            process.stdin.write(order.model_dump_json() + "\n")
            process.stdin.flush()  # and left open: its end is ours
            threading.Thread(target=self._watch, args=[rank, process], name=f"rank {rank}", daemon=True).start()
        meet(self._folder, 0, training.device, count)
        logger.info("trains with %d processes", count)

    def _watch(self, rank: int, process: "subprocess.Popen[str]") -> None:
        status = process.wait()
        if status != 0 and not self._is_over:
            self._on_death(rank, status)


def may_mean_a_death(kind: type[BaseException]) -> bool:
    """Whether torch may say by such an error that another process is gone."""
    return issubclass(kind, RuntimeError) and not issubclass(kind, torch.OutOfMemoryError | OutOfMemory)


def meet(folder: Path, rank: int, device: torch.device, count: int) -> None:
    """Returns when all processes are there."""
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(
        backend, init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=count, timeout=LONGEST_WAIT
    )


def add_up(values: Tensor) -> None:
    """Replaces a tensor by its sum over all processes."""
    dist.all_reduce(values)


def main() -> int:
    """Trains a part of each batch to the end; exit status 3 when out of memory."""
    line = sys.stdin.readline()
    if not line:
        return ORPHANED
    order = Order.model_validate_json(line)
    threading.Thread(target=_end_with_rank_0, name="rank 0", daemon=True).start()
    settings = Settings()
    configure_logging(settings.log_format, secrets=settings.secrets)
    try:
        _train(order, settings)
    except torch.OutOfMemoryError as error:
        logger.error("rank %d: %s", order.rank, error)
        return OUT_OF_MEMORY
    return 0


def _train(order: Order, settings: Settings) -> None:
    spec = order.spec
    device = choose_device(spec.resources.device, order.device)
    limit_threads(order.threads)
    upload = None if order.samples is None else UploadedFiles(samples=order.samples, labels=order.labels)
    data = load_dataset(spec.dataset, settings.data, spec.seed, upload=upload)
    ranks = Ranks(rank=order.rank, count=spec.resources.gpus, add=add_up)
    state = checkpoint.load(_state_file(order.folder))
    training = TrainingLoop(spec, data, device=device, state=state, ranks=ranks, precision=order.precision)
    meet(order.folder, order.rank, device, ranks.count)
    training.follow()


def _state_file(folder: Path) -> Path:
    return folder / "state.safetensors"


def _end_with_rank_0(*_: Any) -> None:
    sys.stdin.read()
    os._exit(ORPHANED)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # as the training process does
