"""The shape of an adversarial loss: pure functions of the discriminator's logits.

Losses are means over all entries of the logits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Side = Callable[[Tensor], Tensor]
"""Logits of any shape → scalar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GanLoss:
    """The three sides of an adversarial loss. The discriminator minimises the mean of the first two."""

    real: Side
    """The discriminator's loss on reals."""
    fake: Side
    """The discriminator's loss on fakes."""
    generator: Side
    """The generator's loss on its fakes."""
    paired: bool = False
    """Whether they are told logit differences, each sample's minus that of its partner on the other side."""
    penalty_weight: float = 0.5
    """What a penalty counts beside the mean of `real` and `fake`: ½ where the reference adds it to their sum."""

    threshold: float = 0.0
    """The logit above which a sample is called real."""

    def compare(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """What `real` and `fake` are told: the logits, or their differences where pairs are compared."""
        return (real - fake, fake - real) if self.paired else (real, fake)
