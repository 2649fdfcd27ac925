"""From an objective's name to its loss."""

from ganlib.objectives.bce import NON_SATURATING, RELATIVISTIC, SATURATING
from ganlib.objectives.clamped_bce import CLAMPED
from ganlib.objectives.hinge import HINGE
from ganlib.objectives.label_smoothing import smoothed
from ganlib.objectives.least_squares import LEAST_SQUARES
from ganlib.objectives.loss import GanLoss
from ganlib.objectives.wasserstein import WASSERSTEIN
from ganlib.spec.run import RunSpec

LOSSES: dict[str, GanLoss] = {
    "bce": NON_SATURATING,
    "saturating-bce": SATURATING,
    "clamped-bce": CLAMPED,
    "lsgan": LEAST_SQUARES,
    "wgan": WASSERSTEIN,
    "wgan-gp": WASSERSTEIN,
    "hinge": HINGE,
    "relativistic": RELATIVISTIC,
}


def loss_of(spec: RunSpec) -> GanLoss:
    """The spec's loss, its labels smoothed where it says so."""
    loss, smoothing = LOSSES[spec.objective.name], spec.remedies.label_smoothing
    return loss if smoothing is None else smoothed(loss, smoothing.target)
