# pyright: standard
"""Noise on what the discriminator sees (Sønderby et al. 2017)."""

import torch
from torch import Tensor
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, Seen, Setting, draw_number
from ganlib.seeding import Stream, torch_generator
from ganlib.spec.remedies import InstanceNoise
from ganlib.spec.run import RunSpec


class InstanceNoiseRemedy(ActingRemedy):
    """Adds noise whose standard deviation falls to 0 as the run goes on."""

    def __init__(self, part: InstanceNoise, setting: Setting) -> None:
        self.part, self.spec = part, setting.spec

    def std(self, step: int) -> float:
        """Standard deviation in the generator's step `step`."""
        return noise_std(self.part, self.spec, step)

    @override
    def view(self, samples: Tensor, seen: Seen, index: int) -> Tensor:
        """Samples [n, *shape] with noise."""
        return with_noise(self.part, self.spec, samples, seen, index)


def noise_std(part: InstanceNoise, spec: RunSpec, step: int) -> float:
    """Standard deviation in the generator's step `step`."""
    return part.std * max(0.0, 1 - step / (part.until * spec.total_steps))


def with_noise(part: InstanceNoise, spec: RunSpec, samples: Tensor, seen: Seen, index: int) -> Tensor:
    """Samples [n, *shape] as they are seen in update number `index` of the seeing network."""
    in_discriminators_update = seen in (Seen.REALS, Seen.FAKES)
    std = noise_std(part, spec, index // spec.training.discriminator_steps if in_discriminators_update else index)
    if std == 0:
        return samples
    generator = torch_generator(spec.seed, Stream.INSTANCE_NOISE, draw_number(seen, index))
    return samples + std * torch.randn(samples.shape, generator=generator).to(samples.device)
