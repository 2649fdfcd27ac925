"""The hinge loss (Lim & Ye 2017; Miyato et al. 2018)."""

from torch import Tensor
from torch.nn import functional

from ganlib.objectives.loss import GanLoss


def hinge_real(logits: Tensor) -> Tensor:
    """max(0, 1 - logit), in [0, inf)."""
    return functional.relu(1 - logits).mean()


def hinge_fake(logits: Tensor) -> Tensor:
    """max(0, 1 + logit), in [0, inf)."""
    return functional.relu(1 + logits).mean()


def hinge_generator(logits: Tensor) -> Tensor:
    """-logit, in (-inf, inf)."""
    return -logits.mean()


HINGE = GanLoss(real=hinge_real, fake=hinge_fake, generator=hinge_generator)
