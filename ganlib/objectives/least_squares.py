"""Least squares (Mao et al. 2017, equation 9) with targets 0 and 1."""

from torch import Tensor

from ganlib.objectives.loss import GanLoss


def squares_real(logits: Tensor) -> Tensor:
    """(logit - 1)², in [0, inf)."""
    return (logits - 1).square().mean()


def squares_fake(logits: Tensor) -> Tensor:
    """logit², in [0, inf)."""
    return logits.square().mean()


def squares_generator(logits: Tensor) -> Tensor:
    """½(logit - 1)², in [0, inf)."""
    return squares_real(logits) / 2


# the paper's halves are in the mean of the two sides
LEAST_SQUARES = GanLoss(
    real=squares_real, fake=squares_fake, generator=squares_generator, penalty_weight=1.0, threshold=0.5
)
