"""The forms that are faster on the CPU train as the plain ones do, but for rounding."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganlib.data.load import load_dataset
from ganlib.networks.few_outputs import ConvolutionToFew
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop

SMALL = {
    "dataset.name": "mnist-5k",
    "generator.width": 16,
    "discriminator.width": 8,
    "training.batch_size": 16,
    "training.discriminator_batch_size": 16,
    "training.epochs": 1,
    "training.steps_per_epoch": 3,
    "evaluation.num_samples": 50,
    "samples.count": 4,
}
ROUNDING = 1e-4
"""Of a series' or a gradient's size, over three steps: each adds float32 rounding, and Adam divides by small roots."""


def trained(preset: str, *, plain: bool) -> tuple[np.ndarray, list[Tensor], list[Tensor]]:
    """The series, the weights, and the last gradients of a generator's and a discriminator's three steps."""
    spec = RunRequest(preset=preset, set=SMALL).resolve()
    with mock.patch("ganlib.networks.few_outputs.MOST_OUTPUTS", 0 if plain else 4):
        training = TrainingLoop(spec, load_dataset(spec.dataset, Path(), 0), device=torch.device("cpu"))
    networks = (training.generator, training.discriminator)
    layers = [layer for network in networks for layer in network.modules()]
    assert any(isinstance(layer, ConvolutionToFew) for layer in layers) is not plain
    if plain:
        for layer in layers:
            if isinstance(layer, nn.LeakyReLU):
                layer.inplace = False
        for optimizer in (training.generator_optimizer, training.discriminator_optimizer):
            optimizer.optimizer.param_groups[0] |= {"fused": False, "foreach": False}
    (report,) = training.epochs()
    # Biases before a batch norm have no gradient but rounding, which Adam scales up: they move at random.
    weights = [p.detach() for network in networks for p in network.parameters() if p.dim() > 1]
    gradients = [p.grad for network in networks for p in network.parameters() if p.grad is not None]
    return report.steps, weights, gradients


@pytest.mark.parametrize("preset", ["digit8-stable", "mnist-stable"])
def test_steps_weights_and_gradients_are_those_of_the_plain_forms(preset: str) -> None:
    steps, weights, gradients = trained(preset, plain=False)
    plain_steps, plain_weights, plain_gradients = trained(preset, plain=True)
    np.testing.assert_allclose(steps, plain_steps, rtol=ROUNDING, atol=ROUNDING)
    for found, wanted in zip(weights, plain_weights, strict=True):
        assert (found - wanted).abs().max() <= 0.1 * 2e-4  # a tenth of one update of Adam, whose rate is 2e-4
    assert len(gradients) == len(plain_gradients) > 0
    whole, plain_whole = (torch.cat([g.flatten() for g in all_of]) for all_of in (gradients, plain_gradients))
    assert (whole - plain_whole).norm() <= ROUNDING * plain_whole.norm()
