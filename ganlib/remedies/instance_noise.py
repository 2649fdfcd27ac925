# pyright: standard
"""Noise on what the discriminator sees (Sønderby et al. 2017)."""

import torch
from torch import Tensor
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, Seen, Setting, draw_number
from ganlib.seeding import Stream, torch_generator
from ganlib.spec.remedies import InstanceNoise


class InstanceNoiseRemedy(ActingRemedy):
    """Adds noise whose standard deviation falls to 0 as the run goes on."""

    def __init__(self, part: InstanceNoise, setting: Setting) -> None:
        self.part, self.spec = part, setting.spec

    def std(self, step: int) -> float:
        """Standard deviation in the generator's step `step`."""
        return self.part.std * max(0.0, 1 - step / (self.part.until * self.spec.total_steps))

    @override
    def view(self, samples: Tensor, seen: Seen, index: int) -> Tensor:
        """Samples [n, *shape] with noise."""
        in_discriminators_update = seen in (Seen.REALS, Seen.FAKES)
        std = self.std(index // self.spec.training.discriminator_steps if in_discriminators_update else index)
        if std == 0:
            return samples
        generator = torch_generator(self.spec.seed, Stream.INSTANCE_NOISE, draw_number(seen, index))
        return samples + std * torch.randn(samples.shape, generator=generator).to(samples.device)
