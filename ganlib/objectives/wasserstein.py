"""The Wasserstein critic (Arjovsky et al. 2017), whose logits are scores without a zero point."""

import torch
from torch import Tensor, nn

from ganlib.objectives.loss import GanLoss


def score_real(logits: Tensor) -> Tensor:
    """-score, in (-inf, inf)."""
    return -logits.mean()


def score_fake(logits: Tensor) -> Tensor:
    """Score, in (-inf, inf)."""
    return logits.mean()


@torch.no_grad()
def clip_weights(network: nn.Module, bound: float) -> None:
    """Every weight into [-bound, bound], in place."""
    for parameter in network.parameters():
        parameter.clamp_(-bound, bound)


WASSERSTEIN = GanLoss(real=score_real, fake=score_fake, generator=score_real)
