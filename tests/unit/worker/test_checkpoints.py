import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganlib.data.load import load_dataset
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop, TrainingState
from store.core.errors import DiskFull
from store.core.models import Epoch
from store.files.local import LocalFiles
from worker.attempt.checkpoints import Checkpoints

SPEC = RunRequest(
    spec={
        "dataset": {"name": "ring8", "size": 100},
        "generator": {"family": "mlp", "width": 4},
        "discriminator": {"family": "mlp", "width": 4},
        "training": {"steps_per_epoch": 1, "batch_size": 10},
        "evaluation": {"num_samples": 50},
    }
).resolve()


@pytest.fixture(scope="module")
def states() -> list[TrainingState]:
    """After epochs 1 to 3. Their tensors are those of the last."""
    training = TrainingLoop(SPEC, load_dataset(SPEC.dataset, Path(), 0), device=torch.device("cpu"))
    return [training.state() for _, _ in zip(range(3), training.epochs(), strict=False)]


def checkpoints_in(directory: Path, attempt: int, named: Sequence[str]) -> Checkpoints:
    """Of a run that is named as the directory."""
    return Checkpoints(LocalFiles(directory.parent), directory.name, attempt, named)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_checkpoint_that_is_named_is_loaded(tmp_path: Path, states: list[TrainingState]) -> None:
    first = checkpoints_in(tmp_path, 1, [])
    named = [first.save(state).name for state in states]
    loaded = checkpoints_in(tmp_path, 2, named[:2]).load_newest()  # the third was written, but never committed
    assert loaded is not None
    assert loaded.epoch == 2


def test_without_a_name_nothing_is_loaded(tmp_path: Path, states: list[TrainingState]) -> None:
    checkpoints_in(tmp_path, 1, []).save(states[0])
    assert checkpoints_in(tmp_path, 2, []).load_newest() is None


def test_an_unreadable_checkpoint_gives_way_to_the_one_before(tmp_path: Path, states: list[TrainingState]) -> None:
    first = checkpoints_in(tmp_path, 1, [])
    named = [first.save(state).name for state in states[:2]]
    (tmp_path / named[1]).write_bytes(b"torn")
    second = checkpoints_in(tmp_path, 2, named)
    loaded = second.load_newest()
    assert loaded is not None
    assert loaded.epoch == 1
    second.prune(second.save(states[2]).name)
    assert names(tmp_path) == [named[0], "attempt-2-epoch-3.safetensors"]


def test_a_checkpoint_of_another_content_gives_way_to_the_one_before(
    tmp_path: Path, states: list[TrainingState]
) -> None:
    first = checkpoints_in(tmp_path, 1, [])
    saved = [first.save(state) for state in states[:2]]
    path = tmp_path / saved[1].name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # still a checkpoint, with another weight
    path.write_bytes(content)
    epochs = [
        Epoch(epoch=number, checkpoint=each.name, checkpoint_sha256=each.sha256) for number, each in enumerate(saved, 1)
    ]
    loaded = Checkpoints.of(LocalFiles(tmp_path.parent), tmp_path.name, 2, epochs).load_newest()
    assert loaded is not None
    assert loaded.epoch == 1


def test_where_no_checkpoint_can_be_read_the_run_starts_anew(tmp_path: Path) -> None:
    assert checkpoints_in(tmp_path, 2, ["attempt-1-epoch-1.safetensors"]).load_newest() is None


def test_pruning_keeps_the_last_two_and_removes_what_was_never_finished(
    tmp_path: Path, states: list[TrainingState]
) -> None:
    (tmp_path / ".attempt-1-epoch-9.safetensors.part").touch()
    (tmp_path / "notes.txt").touch()
    checkpoints = checkpoints_in(tmp_path, 1, [])
    for state in states:
        checkpoints.prune(checkpoints.save(state).name)
    kept = ["attempt-1-epoch-2.safetensors", "attempt-1-epoch-3.safetensors", "notes.txt"]
    assert names(tmp_path) == kept


def test_pruning_keeps_the_newest_healthy_one_too(tmp_path: Path, states: list[TrainingState]) -> None:
    checkpoints = checkpoints_in(tmp_path, 1, [])
    for state, is_healthy in zip((*states, replace(states[0], epoch=4)), (True, True, False, False), strict=True):
        checkpoints.prune(checkpoints.save(state).name, is_healthy=is_healthy)
    assert names(tmp_path) == [f"attempt-1-epoch-{epoch}.safetensors" for epoch in (2, 3, 4)]


def test_an_attempt_keeps_what_was_healthy_in_those_before(tmp_path: Path, states: list[TrainingState]) -> None:
    first = checkpoints_in(tmp_path, 1, [])
    epochs = [Epoch(epoch=state.epoch, checkpoint=first.save(state).name) for state in states]
    second = Checkpoints.of(LocalFiles(tmp_path.parent), tmp_path.name, 2, epochs, {1})
    second.prune(second.save(replace(states[0], epoch=4)).name)
    assert names(tmp_path) == [epochs[0].checkpoint, epochs[2].checkpoint, "attempt-2-epoch-4.safetensors"]


def test_pruning_leaves_the_checkpoints_of_later_attempts_alone(tmp_path: Path, states: list[TrainingState]) -> None:
    stale, successor = checkpoints_in(tmp_path, 1, []), checkpoints_in(tmp_path, 2, [])
    theirs = successor.save(states[1]).name
    stale.prune(stale.save(states[0]).name)
    assert theirs in names(tmp_path)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond 1,000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(tmp_path: Path, states: list[TrainingState]) -> None:
    checkpoints = checkpoints_in(tmp_path, 1, [])
    first = checkpoints.save(states[0]).name
    with full_disk(), pytest.raises(DiskFull, match=rf"no room for a file in '{tmp_path}' \(File too large\)"):
        checkpoints.save(states[1])
    assert names(tmp_path) == [first]
    assert checkpoints_in(tmp_path, 2, [first]).load_newest() is not None


def test_how_many_are_kept_is_a_setting(tmp_path: Path, states: list[TrainingState]) -> None:
    checkpoints = Checkpoints.of(LocalFiles(tmp_path.parent), tmp_path.name, 1, [], kept=1)
    for state in states:
        checkpoints.prune(checkpoints.save(state).name)
    assert names(tmp_path) == ["attempt-1-epoch-3.safetensors"]
