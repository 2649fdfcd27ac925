"""Samples for pictures and evaluation: made in even parts, each large enough for batch norm."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlib.data.load import load_dataset
from ganlib.seeding import Stream
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop, train
from ganlib.training.sampling import SAMPLE_BATCH, even_parts, sample

CPU = torch.device("cpu")
BATCH_NORM = {"family": "mlp", "width": 8, "latent_dim": 2, "norm": {"kind": "batch"}}
TINY: dict[str, Any] = {
    "dataset": {"name": "ring8", "size": 200},
    "generator": BATCH_NORM,
    "discriminator": {"family": "mlp", "width": 8},
    "training": {"epochs": 1, "steps_per_epoch": 1, "batch_size": 20},
    "evaluation": {"measures": ["prdc"], "num_samples": 50},
    "samples": {"count": 2},
}
MIXTURE = {"remedies.generators": {"kind": "mixture", "count": 8}}


def tiny(**changes: Any) -> RunSpec:
    return RunRequest(spec=TINY, set={key.replace("__", "."): value for key, value in changes.items()}).resolve()


def test_parts_are_even_cover_all_and_hold_two_samples_each() -> None:
    for count in range(2, 4 * SAMPLE_BATCH):
        parts = even_parts(count)
        sizes = [part.stop - part.start for part in parts]
        assert [row for part in parts for row in range(part.start, part.stop)] == list(range(count))
        assert max(sizes) <= SAMPLE_BATCH
        assert min(sizes) >= min(count, SAMPLE_BATCH // 2)
        assert max(sizes) - min(sizes) <= 1
    assert len(even_parts(SAMPLE_BATCH)) == 1  # no more parts than are needed


@pytest.mark.parametrize("count", [501, 1001])
def test_batch_norm_makes_one_sample_more_than_a_part(count: int) -> None:
    spec = tiny(samples__count=count, evaluation__num_samples=count)
    report = next(train(spec, load_dataset(spec.dataset, Path(), 0), device=CPU))
    assert report.fakes is not None
    assert len(report.samples) == len(report.fakes) == count
    assert np.isfinite(report.samples).all()


def test_the_smallest_picture_that_is_accepted_can_be_made() -> None:
    spec = tiny(samples__count=2)
    assert len(next(train(spec, load_dataset(spec.dataset, Path(), 0), device=CPU)).samples) == 2
    with pytest.raises(InvalidRequest, match=r"samples\.count: .*greater than or equal to 2"):
        tiny(samples__count=1)


def test_a_mixture_with_batch_norm_has_two_samples_for_each_generator() -> None:
    spec = tiny(**MIXTURE, samples__count=16, evaluation__num_samples=501)
    report = next(train(spec, load_dataset(spec.dataset, Path(), 0), device=CPU))
    assert np.isfinite(report.samples).all()
    with pytest.raises(InvalidRequest, match=r"samples\.count: 15 samples .*; allowed: at least 16, or evaluation"):
        tiny(**MIXTURE, samples__count=15)
    most = MIXTURE | {"remedies.generators.count": 26, "training.batch_size": 52, "dataset.size": 208}
    with pytest.raises(InvalidRequest, match=r"evaluation\.num_samples: 50 samples .*; allowed: at least 52"):
        tiny(**most, samples__count=52)
    assert tiny(**MIXTURE, samples__count=15, evaluation__fake_statistics="moving").samples.count == 15


def test_conditional_samples_keep_their_classes_over_the_parts() -> None:
    changes = {
        "dataset": {"name": "mnist-5k", "classes": [1, 4, 8]},
        "generator": BATCH_NORM | {"condition": "concat"},
        "discriminator": {"family": "mlp", "width": 8, "condition": "concat"},
    }
    spec = tiny(**changes, samples__count=503)
    training = TrainingLoop(spec, load_dataset(spec.dataset, Path(), 0), device=CPU)
    asked: list[torch.Tensor] = []
    training.generator.register_forward_pre_hook(lambda _, given: asked.append(given[1]))
    assert len(sample(training.generator, spec, Stream.SAMPLE_LATENTS, 503)) == 503
    assert [len(labels) for labels in asked] == [251, 252]
    assert torch.cat(asked).tolist() == [row % 3 for row in range(503)]
