from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganlib.datasets.load import load_dataset
from ganlib.request import RunRequest
from ganlib.train import Training, TrainingState
from store.models import Epoch
from worker.checkpoints import Checkpoints

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
    training = Training(SPEC, load_dataset(SPEC.dataset, Path(), 0), device=torch.device("cpu"))
    return [training.state() for _, _ in zip(range(3), training.epochs(), strict=False)]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_checkpoint_that_is_named_is_loaded(tmp_path: Path, states: list[TrainingState]) -> None:
    first = Checkpoints(tmp_path, 1, [])
    named = [first.save(state) for state in states]
    loaded = Checkpoints(tmp_path, 2, named[:2]).load_newest()  # the third was written, but never committed
    assert loaded is not None
    assert loaded.epoch == 2


def test_without_a_name_nothing_is_loaded(tmp_path: Path, states: list[TrainingState]) -> None:
    Checkpoints(tmp_path, 1, []).save(states[0])
    assert Checkpoints(tmp_path, 2, []).load_newest() is None


def test_an_unreadable_checkpoint_gives_way_to_the_one_before(tmp_path: Path, states: list[TrainingState]) -> None:
    first = Checkpoints(tmp_path, 1, [])
    named = [first.save(state) for state in states[:2]]
    (tmp_path / named[1]).write_bytes(b"torn")
    second = Checkpoints(tmp_path, 2, named)
    loaded = second.load_newest()
    assert loaded is not None
    assert loaded.epoch == 1
    second.prune(second.save(states[2]))
    assert names(tmp_path) == [named[0], "attempt-2-epoch-3.safetensors"]


def test_where_no_checkpoint_can_be_read_the_run_starts_anew(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, 2, ["attempt-1-epoch-1.safetensors"]).load_newest() is None


def test_pruning_keeps_the_last_two_and_removes_what_was_never_finished(
    tmp_path: Path, states: list[TrainingState]
) -> None:
    (tmp_path / ".attempt-1-epoch-9.safetensors.part").touch()
    (tmp_path / "notes.txt").touch()
    checkpoints = Checkpoints(tmp_path, 1, [])
    for state in states:
        checkpoints.prune(checkpoints.save(state))
    kept = ["attempt-1-epoch-2.safetensors", "attempt-1-epoch-3.safetensors", "notes.txt"]
    assert names(tmp_path) == kept


def test_pruning_keeps_the_newest_healthy_one_too(tmp_path: Path, states: list[TrainingState]) -> None:
    checkpoints = Checkpoints(tmp_path, 1, [])
    for state, is_healthy in zip((*states, replace(states[0], epoch=4)), (True, True, False, False), strict=True):
        checkpoints.prune(checkpoints.save(state), is_healthy=is_healthy)
    assert names(tmp_path) == [f"attempt-1-epoch-{epoch}.safetensors" for epoch in (2, 3, 4)]


def test_an_attempt_keeps_what_was_healthy_in_those_before(tmp_path: Path, states: list[TrainingState]) -> None:
    first = Checkpoints(tmp_path, 1, [])
    epochs = [Epoch(epoch=state.epoch, checkpoint=first.save(state)) for state in states]
    second = Checkpoints.of(tmp_path, 2, epochs, {1})
    second.prune(second.save(replace(states[0], epoch=4)))
    assert names(tmp_path) == [epochs[0].checkpoint, epochs[2].checkpoint, "attempt-2-epoch-4.safetensors"]


def test_pruning_leaves_the_checkpoints_of_later_attempts_alone(tmp_path: Path, states: list[TrainingState]) -> None:
    stale, successor = Checkpoints(tmp_path, 1, []), Checkpoints(tmp_path, 2, [])
    theirs = successor.save(states[1])
    stale.prune(stale.save(states[0]))
    assert theirs in names(tmp_path)
