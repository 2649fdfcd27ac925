"""Parts that several families use: normalisation and initialisation."""

import math

import torch
from torch import nn

from ganlib.spec import BatchNorm, FanInInit, Init, NoNorm, Norm, NormalInit


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """The normalisation that follows a hidden convolution with this many channels."""
    match norm:
        case BatchNorm():
            return nn.BatchNorm2d(channels, eps=norm.eps, momentum=norm.momentum)
        case NoNorm():
            return nn.Identity()


@torch.no_grad()
def initialise(network: nn.Module, init: Init, generator: torch.Generator) -> None:
    """Draw every weight and bias in place; batch norms start at scale 1 and shift 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            _draw(layer, init, generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()


def _draw(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, init: Init, generator: torch.Generator) -> None:
    match init:
        case NormalInit():
            layer.weight.normal_(0.0, init.std, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
        case FanInInit():
            # torch.nn's reset_parameters: kaiming_uniform with a = sqrt(5) is ±1/sqrt(fan in). For a transposed
            # convolution it, too, counts weight.shape[1] as the incoming channels.
            bound = 1 / math.sqrt(layer.weight[0].numel())
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=generator)
