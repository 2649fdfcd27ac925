"""One-sided label smoothing (Salimans et al. 2016, section 3.4)."""

from dataclasses import replace

from torch import Tensor

from ganlib.objectives.loss import GanLoss


def smoothed(loss: GanLoss, target: float | Tensor) -> GanLoss:
    """The cross-entropy with `target` instead of 1 for reals: target·(loss as real) + (1 − target)·(loss as fake)."""

    def real(logits: Tensor) -> Tensor:
        return target * loss.real(logits) + (1 - target) * loss.fake(logits)

    return replace(loss, real=real)
