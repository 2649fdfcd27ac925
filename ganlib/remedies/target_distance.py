# pyright: standard
"""The distance of outputs from their targets (Isola et al. 2017, pix2pix)."""

from torch import Tensor

from ganlib.remedies.remedy import ActingRemedy, Move, Setting
from ganlib.spec.remedies import TargetDistance


class TargetDistanceRemedy(ActingRemedy):
    """Draws each output to its target."""

    def __init__(self, part: TargetDistance, setting: Setting) -> None:
        self.weight = part.weight

    def generator_term(self, move: Move) -> Tensor:
        """The weighted mean of absolute differences."""
        assert move.outputs is not None, "the spec is checked"
        assert move.targets is not None, "the spec is checked"
        return self.weight * (move.targets - move.outputs).abs().mean()
