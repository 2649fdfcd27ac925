"""Parts that several families use: normalisation, convolutions that keep, halve or double the side, first weights."""

import math

import torch
from torch import Tensor, nn

from ganlib.spec.layers import (
    BatchNorm,
    FanInInit,
    GroupNorm,
    Init,
    InstanceNorm,
    KaimingInit,
    NoNorm,
    Norm,
    NormalInit,
    OrthogonalInit,
    SpectralNorm,
    XavierInit,
)

WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """The normalisation of a hidden convolution with this many channels; spectral norm is no layer: see `spectral`."""
    match norm:
        case BatchNorm():
            return nn.BatchNorm2d(channels, eps=norm.eps, momentum=norm.momentum)
        case InstanceNorm():
            return nn.InstanceNorm2d(channels, eps=norm.eps, affine=True)
        case GroupNorm():
            return nn.GroupNorm(norm.groups, channels, eps=norm.eps)
        case SpectralNorm() | NoNorm():
            return nn.Identity()


def leaky(slope: float) -> nn.LeakyReLU:
    """A LeakyReLU that writes over its input: for one that nothing else needs, as that of a layer just before it.

    Neither a layer's backward nor this one's needs the values that are gone: the same numbers, and half the memory.
    """
    return nn.LeakyReLU(slope, inplace=True)


def keep_side(inputs: int, outputs: int, kernel_size: int) -> nn.Module:
    """A convolution that keeps the side whatever its kernel."""
    if kernel_size % 2 == 1:
        return nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)
    before, after = (kernel_size - 1) // 2, kernel_size // 2
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(inputs, outputs, kernel_size))


def halve_side(inputs: int, outputs: int, kernel_size: int) -> nn.Conv2d:
    """A convolution that halves an even side whatever its kernel."""
    return nn.Conv2d(inputs, outputs, kernel_size, stride=2, padding=(kernel_size - 1) // 2)


def double_side(inputs: int, outputs: int, kernel_size: int) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the side whatever its kernel."""
    pad, odd = (kernel_size - 1) // 2, kernel_size % 2
    return nn.ConvTranspose2d(inputs, outputs, kernel_size, stride=2, padding=pad, output_padding=odd)


@torch.no_grad()
def initialise(network: nn.Module, init: Init, generator: torch.Generator) -> None:
    """Draw every weight and bias in place; norms start at scale 1 and shift 0."""
    for layer in network.modules():
        if isinstance(layer, WEIGHTED):
            _draw(layer.weight, getattr(layer, "bias", None), init, generator)
        elif isinstance(layer, NORMS):
            layer.reset_parameters()


def _draw(weight: Tensor, bias: Tensor | None, init: Init, generator: torch.Generator) -> None:
    match init:
        case FanInInit():
            # torch.nn's reset_parameters: kaiming_uniform with a = sqrt(5) is ±1/sqrt(fan in). For a transposed
            # convolution it, too, counts weight.shape[1] as the incoming channels.
            bound = 1 / math.sqrt(weight[0].numel())
            weight.uniform_(-bound, bound, generator=generator)
            if bias is not None:
                bias.uniform_(-bound, bound, generator=generator)
            return
        case NormalInit():
            weight.normal_(0.0, init.std, generator=generator)
        case XavierInit():
            nn.init.xavier_uniform_(weight, init.gain, generator=generator)
        case KaimingInit():
            nn.init.kaiming_normal_(weight, init.slope, generator=generator)
        case OrthogonalInit():
            # it views its tensor as a matrix, which one laid out with channels last does not allow
            drawn = torch.empty_like(weight, memory_format=torch.contiguous_format)
            weight.copy_(nn.init.orthogonal_(drawn, init.gain, generator=generator))
    if bias is not None:
        bias.zero_()
