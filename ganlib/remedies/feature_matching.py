# pyright: standard
"""Feature matching (Salimans et al. 2016, section 3.1)."""

from collections.abc import Callable
from typing import cast

from torch import Tensor
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, GeneratorBatch, Setting
from ganlib.spec.remedies import FeatureMatching
from ganlib.training.step import StepBatch


def squared_distance(reals: Tensor, fakes: Tensor) -> Tensor:
    """‖mean of reals − mean of fakes‖² of features [n, d]."""
    return (reals.mean(0) - fakes.mean(0)).square().sum()


def absolute_distance(reals: Tensor, fakes: Tensor) -> Tensor:
    """Mean over the d features of |mean of reals − mean of fakes|."""
    return (reals.mean(0) - fakes.mean(0)).abs().mean()


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l2": squared_distance, "l1": absolute_distance}


class FeatureMatchingRemedy(ActingRemedy):
    """Draws the mean features of fakes to those of reals."""

    needs_reals = True

    def __init__(self, part: FeatureMatching, setting: Setting) -> None:
        self.weight, self.distance = part.weight, DISTANCES[part.distance]
        self.replaces_loss = not part.adversarial
        self.embed = cast("Callable[..., Tensor]", setting.discriminator.features)

    @override
    def generator_term(self, batch: GeneratorBatch) -> Tensor:
        assert batch.reals is not None, "needs_reals"
        return self.weight * self.distance(self._features(batch.reals), self._features(batch.fakes))

    def _features(self, batch: StepBatch) -> Tensor:
        given = (batch.samples,) if batch.labels is None else (batch.samples, batch.labels)
        return self.embed(*given).float()  # means and their difference, whatever the networks multiply in
