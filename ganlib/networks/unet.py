"""pix2pix's generator: an image to an image, with a direct way around every level. Source: Isola et al. 2017."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ganlib.networks.dropout import dropout
from ganlib.networks.frame import Frame, with_planes
from ganlib.networks.layers import double_side, halve_side, norm_layer
from ganlib.spec.checks.networks import even_halvings
from ganlib.spec.networks import UnetGenerator

KERNEL = 4
WIDEST = 8  # times the first layer's channels
DROPPED = 3  # innermost layers on the way up


class Unet(nn.Module):
    """[n, source channels, side, side] → [n, channels, side, side] in [-1, 1]; the side must halve evenly."""

    def __init__(self, spec: UnetGenerator, frame: Frame) -> None:
        """Build it.

        Raises:
            ValueError: the side cannot be halved so often.
        """
        super().__init__()
        channels, side = frame.shape[0], frame.shape[-1]
        layers = spec.layers or even_halvings(side)
        if not layers or side % 2**layers:
            raise ValueError(f"generator.layers: {side} pixels halve evenly {even_halvings(side)} times, not {layers}")
        self.classes = frame.classes
        widths = [spec.width * min(2**i, WIDEST) for i in range(layers)]
        source = channels if frame.source_channels is None else frame.source_channels
        self.downs = nn.ModuleList(
            _down(spec, size, width, first=i == 0, innermost=i == layers - 1)
            for i, (size, width) in enumerate(zip([source + frame.classes, *widths], widths, strict=False))
        )
        ways = [
            widths[-1],
            *(2 * width for width in widths[-2::-1]),
        ]  # all but the innermost are joined with their like
        self.ups = nn.ModuleList(
            _up(spec, size, width, drops=i < DROPPED)
            for i, (size, width) in enumerate(zip(ways, widths[-2::-1], strict=False))
        )
        self.last = nn.Sequential(nn.ReLU(), double_side(ways[-1], channels, KERNEL))

    @override
    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, source channels, side, side] → [n, channels, side, side] in [-1, 1]."""
        hidden = with_planes(images, labels, self.classes)
        levels: list[Tensor] = []
        for down in self.downs:
            hidden = down(hidden)
            levels.append(hidden)
        levels.pop()
        for up in self.ups:
            hidden = torch.cat([up(hidden), levels.pop()], 1)
        return self.last(hidden).tanh()


def _down(spec: UnetGenerator, inputs: int, outputs: int, *, first: bool, innermost: bool) -> nn.Module:
    # the innermost level may be a single pixel, which instance norm would turn into 0
    bare = first or innermost
    return nn.Sequential(
        nn.Identity() if first else nn.LeakyReLU(spec.leaky_slope),  # its input goes around the level, too
        halve_side(inputs, outputs, KERNEL),
        nn.Identity() if bare else norm_layer(spec.norm, outputs),
    )


def _up(spec: UnetGenerator, inputs: int, outputs: int, *, drops: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        double_side(inputs, outputs, KERNEL),
        norm_layer(spec.norm, outputs),
        dropout(spec.dropout if drops else 0.0),
    )
