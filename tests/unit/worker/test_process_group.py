"""How a training's processes end together: who died is told before all end."""

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from ganlib.spec.request import RunRequest
from tests.support.worker import TINY
from worker.attempt.channel import Stopped
from worker.attempt.out_of_memory import OutOfMemory
from worker.attempt.process_group import ProcessGroup, may_mean_a_death

SPEC = RunRequest(spec=TINY, set={"resources.gpus": 2}).resolve()


@pytest.mark.parametrize("kind", [RuntimeError, dist.DistBackendError])
def test_who_died_is_told_where_torch_only_says_that_another_is_gone(kind: Any, tmp_path: Path) -> None:
    died: list[tuple[int, int]] = []

    def note(rank: int, status: int) -> None:
        died.append((rank, status))

    def train() -> None:
        with ProcessGroup(SPEC, ("cpu", "cpu"), 1, tmp_path / "group", on_death=note) as group:
            other = subprocess.Popen(["sh", "-c", "sleep 0.1; exit 3"], text=True)
            group._processes.append(other)
            threading.Thread(target=group._watch, args=[1, other]).start()
            raise kind("gone")

    with pytest.raises(kind):
        train()
    assert died == [(1, 3)]


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, OutOfMemory, Stopped, ValueError, KeyboardInterrupt])
def test_an_end_of_its_own_waits_for_nobody(kind: type[BaseException]) -> None:
    assert not may_mean_a_death(kind)
