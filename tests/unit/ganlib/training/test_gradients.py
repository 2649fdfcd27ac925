# pyright: basic
"""Gradients by layer, and the discriminator's area under the curve."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from ganlib.data.load import load_dataset
from ganlib.records import STEP_COLUMNS
from ganlib.spec.request import RunRequest
from ganlib.training.gradient_norms import GradientTrace, LayerNorms
from ganlib.training.loop import TrainingLoop
from ganlib.training.step import area_under_curve


def test_the_area_under_the_curve_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(20):
        real, fake = rng.integers(0, 8, 30) / 4, rng.integers(-2, 6, 50) / 4  # with ties
        expected = roc_auc_score([1] * 30 + [0] * 50, np.concatenate([real, fake]))
        assert float(area_under_curve(torch.tensor(real), torch.tensor(fake))) == pytest.approx(expected, abs=1e-6)


def test_logits_that_are_not_finite_have_no_area():
    assert torch.isnan(area_under_curve(torch.tensor([1.0, torch.nan]), torch.tensor([0.0])))


def test_ratios_are_medians_over_the_last_updates_and_leave_out_biases():
    layer = nn.Linear(2, 1)
    network = nn.Sequential(layer)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0]]))
    norms = LayerNorms(network)
    trace = GradientTrace(generator=norms)
    for size in (1.0, 2.0, 100.0):
        layer.weight.grad, layer.bias.grad = torch.tensor([[size, 0.0]]), torch.tensor([7.0])
        total = norms.take()
        trace.add()
    assert float(total) == pytest.approx(np.hypot(100, 7))
    found = trace.measured(3)
    assert (found.step, found.ratios) == (3, {"generator.0.weight": pytest.approx(2 / 5)})


def test_a_layer_without_a_gradient_counts_as_zero():
    last = nn.Linear(2, 1)
    network = nn.Sequential(nn.Linear(2, 2), last)
    last(torch.ones(1, 2)).sum().backward()
    norms = LayerNorms(network)
    norms.take()
    assert norms.last is not None
    assert (float(norms.last[0]), float(norms.last[1])) == (0.0, pytest.approx(np.sqrt(2)))


NO_FILES = Path()  # mixtures need no files


def training(**changes: object) -> TrainingLoop:
    request = RunRequest(
        spec={
            "dataset": {"name": "ring8"},
            "generator": {"family": "mlp", "width": 8},
            "discriminator": {"family": "mlp", "width": 8},
            "training": {"epochs": 2, "steps_per_epoch": 60, "batch_size": 16},
        },
        set=changes,
    )
    spec = request.resolve()
    return TrainingLoop(spec, load_dataset(spec.dataset, NO_FILES, 0), device=torch.device("cpu"))


def test_a_training_records_gradients_after_50_updates_and_at_every_epochs_end():
    one, two = training().epochs()
    assert [g.step for g in one.gradients] == [50, 60]
    assert [g.step for g in two.gradients] == [120]
    assert {name.split(".")[0] for name in one.gradients[0].ratios} == {"generator", "discriminator"}
    assert all(ratio > 0 for ratio in one.gradients[0].ratios.values())


def test_a_resumed_training_records_the_same_gradients():
    whole = list(training().epochs())
    first = training()
    next(first.epochs())
    state = first.state()
    rest = TrainingLoop(first.spec, load_dataset(first.spec.dataset, NO_FILES, 0), device=first.device, state=state)
    assert next(rest.epochs()).gradients == whole[1].gradients


@pytest.mark.parametrize("objective", ["bce", "hinge", "wgan-gp", "relativistic"])
def test_every_objective_reports_the_discriminators_area_under_the_curve(objective: str):
    report = next(training(objective={"name": objective}).epochs())
    auc = report.steps[:, STEP_COLUMNS.index("d_auc")]
    assert ((auc >= 0) & (auc <= 1)).all()
    assert auc[-20:].mean() > 0.5
