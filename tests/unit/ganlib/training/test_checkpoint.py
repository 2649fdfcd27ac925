"""Checkpoints: whole or absent, and never a way to run code."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from ganlib.data.load import load_dataset
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint
from ganlib.training.loop import TrainingLoop, TrainingState


def ring_spec() -> RunSpec:
    mlp = {"family": "mlp", "width": 8}
    return RunRequest(
        spec={"dataset": {"name": "ring8", "size": 200}, "generator": mlp, "discriminator": mlp}
    ).resolve()


@pytest.fixture
def state() -> TrainingState:
    spec = ring_spec()
    training = TrainingLoop(spec, load_dataset(spec.dataset, Path(), 0), device=torch.device("cpu"))
    next(training.epochs())
    return training.state()


def test_what_is_saved_is_what_is_loaded(state, tmp_path):
    checkpoint.save(tmp_path / "a" / "c.safetensors", state)
    loaded = checkpoint.load(tmp_path / "a" / "c.safetensors")
    assert (loaded.epoch, loaded.step, loaded.spec_hash) == (state.epoch, state.step, state.spec_hash)
    torch.testing.assert_close(loaded.generator, state.generator, rtol=0, atol=0)
    torch.testing.assert_close(loaded.generator_optimizer["state"], state.generator_optimizer["state"], rtol=0, atol=0)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["c.safetensors"]


def test_a_file_cut_short_is_refused(state, tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, state)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(checkpoint.CheckpointUnreadable):
        checkpoint.load(path)


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    (tmp_path / "c.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(checkpoint.CheckpointUnreadable):
        checkpoint.load(tmp_path / "c.safetensors")
    assert not (tmp_path / "executed").exists()


def test_a_missing_file_is_a_named_error(tmp_path):
    with pytest.raises(checkpoint.CheckpointUnreadable, match=r"gone\.safetensors"):
        checkpoint.load(tmp_path / "gone.safetensors")


def test_a_failed_write_leaves_the_old_checkpoint_and_nothing_else(state, tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, state)
    before = path.read_bytes()
    (tmp_path / ".c.safetensors.part").mkdir()  # the write cannot happen
    with pytest.raises((OSError, SafetensorError)):
        checkpoint.save(path, state)
    assert path.read_bytes() == before
