"""Dropout whose masks are functions of the seed and of how often it was used, which its checkpoint remembers."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ganlib.seeding import Stream, torch_generator


class Dropout(nn.Module):
    """In training, sets a share p of the values to 0 and divides the others by 1 - p. Source: Srivastava et al. 2014.

    torch.nn.Dropout would draw from the global generator, whose state no checkpoint holds. The buffer `calls` counts
    the uses, so whoever restores a network's buffers also restores what it drops next.
    """

    calls: Tensor

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.draw: tuple[int, Stream, int, int] | None = None

    def start(self, seed: int, stream: Stream, position: int, count: int) -> None:
        """Begin at the first mask of the dropout at `position` among the network's `count`."""
        self.draw = (seed, stream, position, count)
        self.calls.zero_()

    @override
    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape → the same shape."""
        if not self.training:
            return values
        assert self.draw is not None, "start comes first"
        seed, stream, position, count = self.draw
        generator = torch_generator(seed, stream, int(self.calls) * count + position)
        self.calls += 1
        kept = torch.rand(values.shape, generator=generator) >= self.share
        return values * kept.to(values.device) / (1 - self.share)


def dropout(share: float) -> nn.Module:
    """The layer, or none where nothing is to be dropped."""
    return Dropout(share) if share else nn.Identity()


def start_dropouts(network: nn.Module, seed: int, stream: Stream) -> None:
    """Begin every dropout of the network at its first mask."""
    layers = [layer for layer in network.modules() if isinstance(layer, Dropout)]
    for position, layer in enumerate(layers):
        layer.start(seed, stream, position, len(layers))
