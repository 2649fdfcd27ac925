# pyright: standard
"""What the members of a stack draw: each from its own streams, as it would alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ganlib.data.load import DataArrays
from ganlib.remedies.instance_noise import with_noise
from ganlib.remedies.remedy import Seen
from ganlib.seeding import Stream, torch_generator
from ganlib.spec.run import RunSpec
from ganlib.training.data_order import DataOrder


class StackedDraws:
    """Reals, latents and noise of n members, in the order of their specs."""

    def __init__(self, specs: Sequence[RunSpec], data: Sequence[DataArrays], device: torch.device) -> None:
        self.device = device
        is_shared = all(each is data[0] for each in data)
        arrays = [torch.from_numpy(each.samples) for each in (data[:1] if is_shared else data)]
        self.data = torch.stack(arrays).to(device)
        """[n, size, d], or [1, size, d] where all have the same."""
        self._set_out(specs)

    def _set_out(self, specs: Sequence[RunSpec]) -> None:
        self.specs = list(specs)
        self._orders = [DataOrder(spec) for spec in self.specs]

    def reals(self, draw: int) -> Tensor:
        """[n, batch, d] of discriminator update number `draw`."""
        indices = torch.from_numpy(np.stack([order.batch(draw) for order in self._orders])).to(self.device)
        rows = torch.arange(len(self.data), device=self.device)[:, None]
        return self.data[rows, indices]

    def latents(self, stream: Stream, index: int, count: int) -> Tensor:
        """[n, count, latent_dim]: of each member, those of `ganlib.seeding.latents`."""
        drawn = torch.empty(len(self.specs), count, self.specs[0].generator.latent_dim)
        for place, spec in enumerate(self.specs):
            torch.randn(drawn.shape[1:], generator=torch_generator(spec.seed, stream, index), out=drawn[place])
        return drawn.to(self.device)

    def shares(self, draw: int, count: int) -> Tensor:
        """[n, count] in [0, 1]: where between a real and a fake a gradient is penalised."""
        drawn = torch.empty(len(self.specs), count)
        for place, spec in enumerate(self.specs):
            generator = torch_generator(spec.seed, Stream.INTERPOLATION, draw)
            torch.rand(count, generator=generator, out=drawn[place])
        return drawn.to(self.device)

    def seen(self, samples: Tensor, seen: Seen, index: int) -> Tensor:
        """What the discriminators see of samples [n, batch, d]: with instance noise where the specs have it."""
        noises = [spec.remedies.instance_noise for spec in self.specs]
        if not any(noises):
            return samples
        each = zip(noises, self.specs, samples.unbind(), strict=True)
        return torch.stack(
            [own if noise is None else with_noise(noise, spec, own, seen, index) for noise, spec, own in each]
        )

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these alone."""
        if len(self.data) > 1:
            self.data = self.data[torch.tensor(members, device=self.device)]
        self._set_out([self.specs[member] for member in members])
