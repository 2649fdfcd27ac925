"""Binary cross-entropy from logits (Goodfellow et al. 2014), and on pairs of them."""

from torch import Tensor
from torch.nn import functional

from ganlib.objectives.loss import GanLoss


def bce_real(logits: Tensor) -> Tensor:
    """-log sigmoid(logit), in [0, inf). softplus keeps gradients finite at any logit."""
    return functional.softplus(-logits).mean()


def bce_fake(logits: Tensor) -> Tensor:
    """-log(1 - sigmoid(logit)), in [0, inf)."""
    return functional.softplus(logits).mean()


def minimax_generator(logits: Tensor) -> Tensor:
    """log(1 - sigmoid(logit)), in (-inf, 0]: its gradient vanishes where a fake is told with certainty."""
    return -bce_fake(logits)


NON_SATURATING = GanLoss(real=bce_real, fake=bce_fake, generator=bce_real)
SATURATING = GanLoss(real=bce_real, fake=bce_fake, generator=minimax_generator)
# softplus(-(real - fake)) either way round: the two sides are equal, so their mean is the reference's one loss, to
# which it adds its penalties whole
RELATIVISTIC = GanLoss(real=bce_real, fake=bce_fake, generator=bce_real, paired=True, penalty_weight=1.0)
