# pyright: standard
"""Historical averaging (Salimans et al. 2016, section 3.3)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.remedies.remedy import ActingRemedy, GeneratorBatch, Setting
from ganlib.spec.remedies import HistoricalAveraging
from ganlib.training.step import StepBatch, Term


class PastWeights:
    """The mean of a network's past weights."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.means = {name: torch.zeros_like(p, requires_grad=False) for name, p in network.named_parameters()}

    def distance(self) -> Tensor:
        """‖θ − mean‖² over all weights."""
        parts = [(p - self.means[name]).square().sum() for name, p in self.network.named_parameters()]
        return torch.stack(parts).sum()

    @torch.no_grad()
    def add(self, count: int) -> None:
        """Takes in the present weights, as number `count` from 1."""
        for name, parameter in self.network.named_parameters():
            self.means[name].lerp_(parameter, 1 / count)


class HistoricalAveragingRemedy(ActingRemedy):
    """Holds both networks near the mean of their past."""

    def __init__(self, part: HistoricalAveraging, setting: Setting) -> None:
        self.weight = part.weight
        self.histories = {
            "generator": PastWeights(setting.generator),
            "discriminator": PastWeights(setting.discriminator),
        }
        self.count = 0

    def discriminator_terms(self, fakes: StepBatch) -> tuple[Term, ...]:
        """The weighted distance, once there is a past."""
        return (partial(self._distance, "discriminator"),) if self.count else ()

    def generator_term(self, batch: GeneratorBatch) -> Tensor | None:
        """The weighted distance, once there is a past."""
        return self._distance("generator") if self.count else None

    def after_step(self, steps: int) -> None:
        """Takes the present weights into the past."""
        self.count = steps
        for history in self.histories.values():
            history.add(steps)

    def state(self) -> dict[str, Any]:
        """The means, and the number of steps in them."""
        means = {f"{name}/{key}": m for name, history in self.histories.items() for key, m in history.means.items()}
        return means | {"count": torch.tensor(self.count)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.count = int(state["count"])
        for name, history in self.histories.items():
            for key, mean in history.means.items():
                mean.copy_(state[f"{name}/{key}"])

    def _distance(self, network: str) -> Tensor:
        return self.weight * self.histories[network].distance()
