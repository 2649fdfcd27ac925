"""Adversarial losses: pure functions of the discriminator's logits.

A logit above 0 calls a sample real. Losses are means over the batch, in nats.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class GanLoss:
    """The three sides of an adversarial loss: logits [n] → scalar."""

    real: Callable[[Tensor], Tensor]
    """The discriminator's loss on reals."""
    fake: Callable[[Tensor], Tensor]
    """The discriminator's loss on fakes."""
    generator: Callable[[Tensor], Tensor]
    """The generator's loss on its fakes."""


def bce_real(logits: Tensor) -> Tensor:
    """-log sigmoid(logit), in [0, inf). softplus keeps gradients finite at any logit."""
    return functional.softplus(-logits).mean()


def bce_fake(logits: Tensor) -> Tensor:
    """-log(1 - sigmoid(logit)), in [0, inf)."""
    return functional.softplus(logits).mean()


def clamped_bce_real(logits: Tensor) -> Tensor:
    """-max(log sigmoid(logit), -100), in [0, 100]: torch.nn.BCELoss on a sigmoid, target 1.

    The sigmoid is computed first, in float32, on purpose: where it rounds to 0 or 1 the gradient is exactly 0.
    """
    probability = torch.sigmoid(logits)
    return functional.binary_cross_entropy(probability, torch.ones_like(probability))


def clamped_bce_fake(logits: Tensor) -> Tensor:
    """-max(log(1 - sigmoid(logit)), -100), in [0, 100]: torch.nn.BCELoss on a sigmoid, target 0."""
    probability = torch.sigmoid(logits)
    return functional.binary_cross_entropy(probability, torch.zeros_like(probability))


LOSSES: dict[str, GanLoss] = {
    # Goodfellow et al. 2014, the non-saturating generator loss: the generator wants its fakes called real.
    "bce": GanLoss(real=bce_real, fake=bce_fake, generator=bce_real),
    "clamped-bce": GanLoss(real=clamped_bce_real, fake=clamped_bce_fake, generator=clamped_bce_real),
}
