"""Binary cross-entropy on a sigmoid with clamped logarithms, as torch.nn.BCELoss computes it."""

import torch
from torch import Tensor
from torch.nn import functional

from ganlib.objectives.loss import GanLoss


def clamped_bce_real(logits: Tensor) -> Tensor:
    """-max(log sigmoid(logit), -100), in [0, 100]: torch.nn.BCELoss on a sigmoid, target 1.

    The sigmoid is computed first, in float32, on purpose: where it rounds to 0 or 1 the gradient is exactly 0.
    """
    return _cross_entropy(logits, target=1.0)


def clamped_bce_fake(logits: Tensor) -> Tensor:
    """-max(log(1 - sigmoid(logit)), -100), in [0, 100]: torch.nn.BCELoss on a sigmoid, target 0."""
    return _cross_entropy(logits, target=0.0)


def _cross_entropy(logits: Tensor, *, target: float) -> Tensor:
    with torch.autocast(logits.device.type, enabled=False):  # with it, torch refuses this loss on a GPU
        probability = torch.sigmoid(logits)
        return functional.binary_cross_entropy(probability, torch.full_like(probability, target))


CLAMPED = GanLoss(real=clamped_bce_real, fake=clamped_bce_fake, generator=clamped_bce_real)
