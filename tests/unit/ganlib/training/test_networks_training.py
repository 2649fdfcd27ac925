"""Networks in real training: every option makes steps, resumes bit-identically and disturbs nothing else."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlib.data.load import DataArrays, load_dataset
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint
from ganlib.training.loop import TrainingLoop, train

CPU = torch.device("cpu")
TINY = {
    "dataset.name": "mnist-5k",
    "generator": {"family": "deconv", "width": 4},
    "discriminator": {"family": "conv", "width": 4},
    "training.epochs": 2,
    "training.steps_per_epoch": 2,
    "training.batch_size": 4,
    "training.discriminator_batch_size": 4,
    "evaluation.num_samples": 50,
    "samples.count": 4,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "dropout": {"generator.dropout": 0.3, "discriminator.dropout": 0.3},
    "spectral": {"generator.norm": {"kind": "spectral"}, "discriminator.norm": {"kind": "spectral"}},
    "instance and group": {
        "generator.norm": {"kind": "instance"},
        "discriminator.norm": {"kind": "group", "groups": 2},
    },
    "minibatch": {"discriminator.minibatch": {"kernels": 4, "size": 2}},
    "layers": {"generator.layers": 3, "discriminator.layers": 1},
    "orthogonal": {"generator.init": {"kind": "orthogonal"}, "discriminator.init": {"kind": "xavier"}},
    "resnet": {"generator": {"family": "resnet", "width": 4}, "discriminator": {"family": "resnet", "width": 4}},
    "patch": {"discriminator": {"family": "patch", "width": 4, "layers": 2, "dropout": 0.2}},
    "concat": {
        "dataset.classes": [1, 8],
        "generator.condition": "concat",
        "discriminator.condition": "concat",
        "discriminator.norm": {"kind": "spectral"},
    },
    "projection": {
        "dataset.classes": [1, 8],
        "generator": {"family": "resnet", "width": 4, "condition": "concat"},
        "discriminator": {"family": "resnet", "width": 4, "condition": "projection"},
    },
    "mlp": {
        "generator": {"family": "mlp", "width": 4, "norm": {"kind": "batch"}, "dropout": 0.1},
        "discriminator": {"family": "mlp", "width": 4, "norm": {"kind": "spectral"}},
    },
}


def tiny(changes: dict[str, Any]) -> RunSpec:
    return RunRequest(preset="digit8-stable", set=TINY | changes).resolve()


@cache
def digits(*, two_classes: bool = False) -> DataArrays:
    return load_dataset(tiny({"dataset.classes": [1, 8]} if two_classes else {}).dataset, Path(), 0)


@cache
def plain_steps() -> bytes:
    return next(train(tiny({}), digits(), device=CPU)).steps.tobytes()


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_training_and_resumes_bit_identically(tmp_path, option):
    spec = tiny(OPTIONS[option])
    data = digits(two_classes="dataset.classes" in OPTIONS[option])
    whole = TrainingLoop(spec, data, device=CPU)
    expected = list(whole.epochs())
    assert np.isfinite(np.concatenate([r.steps for r in expected])).all()
    assert expected[0].steps.tobytes() != plain_steps()
    first = TrainingLoop(spec, data, device=CPU)
    next(first.epochs())
    checkpoint.save(tmp_path / "c.safetensors", first.state())
    resumed = TrainingLoop(spec, data, device=CPU, state=checkpoint.load(tmp_path / "c.safetensors"))
    for got, want in zip(resumed.epochs(), expected[1:], strict=True):
        assert got.steps.tobytes() == want.steps.tobytes()
        assert got.samples.tobytes() == want.samples.tobytes()
    for name in ("generator", "discriminator"):
        for key, value in getattr(whole, name).state_dict().items():
            assert torch.equal(getattr(resumed, name).state_dict()[key], value), key


def test_evaluating_more_often_leaves_dropout_and_power_iterations_as_they_were():
    changes = OPTIONS["dropout"] | OPTIONS["spectral"]
    rare, often = (
        np.concatenate([r.steps for r in train(tiny(changes | {"evaluation.every_epochs": n}), digits(), device=CPU)])
        for n in (2, 1)
    )
    assert rare.tobytes() == often.tobytes()


def test_features_for_evaluation_leave_training_as_it_was():
    spec = tiny(OPTIONS["dropout"] | OPTIONS["spectral"])
    looked, plain = (TrainingLoop(spec, digits(), device=CPU) for _ in range(2))
    samples = np.zeros((2, 1, 28, 28), dtype=np.float32)
    assert looked.discriminator_features(samples).shape == (2, 4 * 7 * 7)
    assert next(looked.epochs()).steps.tobytes() == next(plain.epochs()).steps.tobytes()
