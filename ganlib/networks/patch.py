"""PatchGAN: a discriminator that judges patches. Source: Isola et al. 2017."""

from itertools import pairwise

from torch import Tensor, nn
from typing_extensions import override

from ganlib.networks.dropout import dropout
from ganlib.networks.frame import Frame, with_planes
from ganlib.networks.layers import halve_side, leaky, norm_layer
from ganlib.spec.networks import PatchDiscriminator

WIDEST = 8  # times the first layer's channels


class Patch(nn.Module):
    """[n, channels, side, side] → [n, h, w] logits, one a patch."""

    def __init__(self, spec: PatchDiscriminator, frame: Frame) -> None:
        super().__init__()
        self.planes = frame.classes
        widths = [spec.width * min(2**i, WIDEST) for i in range(spec.layers + 1)]
        layers = [halve_side(frame.shape[0] + self.planes, widths[0], spec.kernel_size), *_after(spec, None)]
        for inputs, outputs in pairwise(widths[:-1]):
            layers += [halve_side(inputs, outputs, spec.kernel_size), *_after(spec, outputs)]
        layers += [_step(widths[-2], widths[-1], spec.kernel_size), *_after(spec, widths[-1])]
        self.hidden = nn.Sequential(*layers)
        self.last = _step(widths[-1], 1, spec.kernel_size)

    @override
    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, channels, side, side] → [n, h, w] logits."""
        return self.last(self._map(samples, labels)).squeeze(1)

    def features(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, channels, side, side] → [n, d] what the last layer sees, averaged over places."""
        return self._map(samples, labels).mean((2, 3))

    def _map(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        return self.hidden(with_planes(samples, labels, self.planes))


def _after(spec: PatchDiscriminator, channels: int | None) -> list[nn.Module]:
    """What follows a convolution; the first, without channels, has no norm."""
    norm = nn.Identity() if channels is None else norm_layer(spec.norm, channels)
    return [norm, leaky(spec.leaky_slope), dropout(spec.dropout)]


def _step(inputs: int, outputs: int, kernel_size: int) -> nn.Conv2d:
    """A convolution of stride 1, which takes a pixel off the side where its kernel is even."""
    return nn.Conv2d(inputs, outputs, kernel_size, padding=(kernel_size - 1) // 2)
