# pyright: standard
"""The distance of outputs from their targets (Isola et al. 2017, pix2pix)."""

from torch import Tensor
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, GeneratorBatch, Setting
from ganlib.spec.remedies import TargetDistance


class TargetDistanceRemedy(ActingRemedy):
    """Draws each output to its target."""

    def __init__(self, part: TargetDistance, setting: Setting) -> None:
        self.weight = part.weight

    @override
    def generator_term(self, batch: GeneratorBatch) -> Tensor:
        assert batch.outputs is not None, "the spec is checked"
        assert batch.targets is not None, "the spec is checked"
        return self.weight * (batch.targets - batch.outputs).abs().mean()
