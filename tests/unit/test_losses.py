"""Adversarial losses on literal values, their gradients and extremes."""

import math

import pytest
import torch

from ganlib.losses import LOSSES

LOG2 = math.log(2)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize(
    ("side", "logit", "expected"),
    [
        ("real", 0.0, LOG2),
        ("fake", 0.0, LOG2),
        ("generator", 0.0, LOG2),
        ("real", 2.0, math.log(1 + math.exp(-2))),
        ("fake", 2.0, math.log(1 + math.exp(2))),
        ("generator", 2.0, math.log(1 + math.exp(-2))),
    ],
)
def test_values_are_the_textbook_ones(name, side, logit, expected):
    assert getattr(LOSSES[name], side)(torch.tensor([logit])).item() == pytest.approx(expected, rel=1e-5)


def test_from_logits_the_gradient_survives_any_logit():
    logits = torch.tensor([-1000.0], requires_grad=True)
    loss = LOSSES["bce"].real(logits)
    assert loss.item() == 1000
    assert torch.autograd.grad(loss, logits)[0].item() == -1


def test_clamped_on_a_sigmoid_the_loss_stops_at_100_and_the_gradient_is_gone():
    logits = torch.tensor([-1000.0], requires_grad=True)
    loss = LOSSES["clamped-bce"].real(logits)
    assert loss.item() == 100
    assert torch.autograd.grad(loss, logits)[0].item() == 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_generator_wants_its_fakes_called_real(name):
    logits = torch.tensor([0.3], requires_grad=True)
    loss = LOSSES[name].generator(logits)
    assert torch.autograd.grad(loss, logits)[0].item() < 0
