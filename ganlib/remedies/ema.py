# pyright: standard
"""A moving average of the generator (Yazici et al. 2019)."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, Setting
from ganlib.spec.remedies import MovingAverage


class MovingAverageRemedy(ActingRemedy):
    """Keeps the average and gives it to pictures and evaluation."""

    def __init__(self, part: MovingAverage, setting: Setting) -> None:
        self.part, self.generator = part, setting.generator
        self.average = deepcopy(setting.generator).requires_grad_(requires_grad=False)

    @property
    @override
    def sampled(self) -> nn.Module:
        return self.average

    @torch.no_grad()
    @override
    def after_step(self, steps: int) -> None:
        """Moves the average towards the generator; up to `start` steps it is the generator."""
        share = 1.0 if steps <= self.part.start else 1 - self.part.decay
        for mean, weight in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(weight, share)
        for kept, buffer in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(buffer)

    @override
    def state(self) -> dict[str, Any]:
        return self.average.state_dict()

    @override
    def restore(self, state: dict[str, Any]) -> None:
        self.average.load_state_dict(state)
