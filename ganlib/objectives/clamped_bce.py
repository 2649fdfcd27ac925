"""Binary cross-entropy on a sigmoid with clamped logarithms, as torch.nn.BCELoss computes it."""

import torch
from torch import Tensor
from torch.nn import functional

from ganlib.objectives.loss import GanLoss


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


CLAMPED = GanLoss(real=clamped_bce_real, fake=clamped_bce_fake, generator=clamped_bce_real)
