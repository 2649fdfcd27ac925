# pyright: standard
"""Historical averaging (Salimans et al. 2016, section 3.3)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

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

    @override
    def discriminator_terms(self, fakes: StepBatch) -> tuple[Term, ...]:
        return (partial(self._distance, "discriminator"),) if self.count else ()

    @override
    def generator_term(self, batch: GeneratorBatch) -> Tensor | None:
        return self._distance("generator") if self.count else None

    @override
    def after_step(self, steps: int) -> None:
        self.count = steps
        for history in self.histories.values():
            history.add(steps)

    @override
    def state(self) -> dict[str, Any]:
        means = {f"{name}/{key}": m for name, history in self.histories.items() for key, m in history.means.items()}
        return means | {"count": torch.tensor(self.count)}

    @override
    def restore(self, state: dict[str, Any]) -> None:
        self.count = int(state["count"])
        for name, history in self.histories.items():
            for key, mean in history.means.items():
                mean.copy_(state[f"{name}/{key}"])

    def _distance(self, network: str) -> Tensor:
        return self.weight * self.histories[network].distance()
