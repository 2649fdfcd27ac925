"""Trainings of which each process computes a part, here as threads, against the training of one process."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganlib.data.load import load_dataset
from ganlib.records import STEP_COLUMNS, EpochReport
from ganlib.spec.hashing import spec_hash
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop
from ganlib.training.ranks import Ranks

CPU = torch.device("cpu")
STEPS = 24
LOSSES = [STEP_COLUMNS.index(name) for name in ("d_loss_real", "d_loss_fake", "g_loss")]
MLP = {
    "dataset": {"name": "ring8", "size": 300},
    "generator": {"family": "mlp", "width": 16},
    "discriminator": {"family": "mlp", "width": 16},
    "training": {"epochs": 2, "steps_per_epoch": STEPS // 2, "batch_size": 64},
    "evaluation": {"num_samples": 50},
    "samples": {"count": 4},
}
DCGAN = MLP | {
    "dataset": {"name": "polygons", "size": 300},
    "generator": {"family": "deconv", "width": 8},
    "discriminator": {"family": "conv", "width": 8},
}
DIGITS = MLP | {"dataset": {"name": "mnist-5k"}}


class Meeting:
    """Where the threads of a training add up their tensors."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._barrier = threading.Barrier(count)
        self._brought: dict[int, Tensor] = {}

    def ranks(self, rank: int) -> Ranks:
        def add(values: Tensor) -> None:
            self._brought[rank] = values.clone()
            self._barrier.wait(timeout=30)
            values.copy_(torch.stack([self._brought[other] for other in range(self.count)]).sum(0))
            self._barrier.wait(timeout=30)

        return Ranks(rank=rank, count=self.count, add=add)


def train(spec: RunSpec, count: int) -> tuple[list[EpochReport], list[TrainingLoop]]:
    """The reports of rank 0, and every rank's training after its end."""
    data, meeting = load_dataset(spec.dataset, Path(), spec.seed), Meeting(count)
    parts = [TrainingLoop(spec, data, device=CPU, ranks=meeting.ranks(rank)) for rank in range(count)]
    others = [threading.Thread(target=part.follow) for part in parts[1:]]
    for thread in others:
        thread.start()
    reports = list(parts[0].epochs())
    for thread in others:
        thread.join()
    return reports, parts


def steps(reports: list[EpochReport]) -> NDArray[np.float32]:
    return np.concatenate([report.steps for report in reports])


def resolve(spec: dict[str, Any], **settings: Any) -> RunSpec:
    return RunRequest(spec=spec, set=settings).resolve()


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        (MLP, {}),
        (MLP, {"training.discriminator_update": "half_batches", "training.discriminator_steps": 2}),
        (MLP, {"objective": {"name": "wgan-gp"}, "training.discriminator_batch_size": 32}),
        (MLP, {"objective": {"name": "relativistic"}, "remedies.ema": {}}),
        (MLP, {"generator.norm": {"kind": "spectral"}, "discriminator.norm": {"kind": "spectral"}}),
        (DCGAN, {}),
        (DIGITS, {"generator.condition": "concat", "discriminator.condition": "projection"}),
    ],
)
def test_two_processes_have_the_losses_of_one(spec: dict[str, Any], settings: dict[str, Any]) -> None:
    alone = list(
        TrainingLoop(one := resolve(spec, **settings), load_dataset(one.dataset, Path(), 0), device=CPU).epochs()
    )
    reports, parts = train(resolve(spec, **settings, **{"resources.gpus": 2}), 2)
    assert len(steps(alone)) == STEPS
    # Measured on an MLP and a DCGAN: they differ by 3e-7 of their value at most.
    assert steps(reports)[:, LOSSES] == pytest.approx(steps(alone)[:, LOSSES], rel=1e-5, abs=1e-6)
    assert reports[-1].samples == pytest.approx(alone[-1].samples, abs=1e-3)
    first, second = (part.generator.state_dict() for part in parts)
    assert all(torch.equal(first[name], second[name]) for name in first)  # they never part


def test_the_parts_of_a_batch_are_all_of_it() -> None:
    rows = np.arange(12)
    parts = [Ranks(rank=rank, count=3).part(rows) for rank in range(3)]
    assert np.array_equal(np.concatenate(parts), rows)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"training.batch_size": 63}, "training.batch_size"),
        ({"training.discriminator_batch_size": 63}, "training.discriminator_batch_size"),
        ({"dataset.size": 301}, "training.batch_size"),
        ({"generator.norm": {"kind": "batch"}}, "generator.norm"),
        ({"discriminator.norm": {"kind": "batch"}}, "discriminator.norm"),
        ({"discriminator.dropout": 0.1}, "discriminator.dropout"),
        ({"discriminator.minibatch": {}}, "discriminator.minibatch"),
        ({"remedies.instance_noise": {}}, "remedies.instance_noise"),
        ({"remedies.packing": {"samples": 2}}, "remedies.packing"),
        ({"remedies.unrolling": {}}, "remedies.unrolling"),
        ({"resources.gpu_memory_gb": 4}, "resources.gpu_memory_gb"),
        ({"resources.gpus": 0}, "resources.gpus"),
    ],
)
def test_what_couples_a_batch_is_refused_on_several_gpus(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolve(MLP, **({"resources.gpus": 2} | settings))
    assert list(refused.value.problems) == [field]


def test_on_how_many_gpus_it_is_trained_does_not_change_the_hash() -> None:
    assert spec_hash(resolve(MLP, **{"resources.gpus": 2})) == spec_hash(resolve(MLP))
