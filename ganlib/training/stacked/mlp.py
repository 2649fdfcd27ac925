# pyright: standard
"""Fully connected networks, n at once: a batch of matrix products a layer.

The forms are chosen so that a network's numbers do not depend, to the last bit, on how many others are beside it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

Parameters = Sequence[Tensor]
"""Weight [n, out, in] and bias [n, out] of each layer in turn."""


def generated(parameters: Parameters, latents: Tensor, slope: float) -> Tensor:
    """[n, batch, d] points from latents [n, batch, latent_dim]."""
    hidden = _hidden(parameters[:-2], latents, slope)
    return _linear(parameters[-2], parameters[-1], hidden[-1])


def judged(parameters: Parameters, samples: Tensor, slope: float) -> tuple[Tensor, list[Tensor]]:
    """[n, batch] logits of samples [n, batch, d], and what each hidden layer gave: [n, batch, width]."""
    hidden = _hidden(parameters[:-2], samples, slope)
    weight, bias = parameters[-2:]
    # not a matrix product: one with a single column is computed in another order where n is 1
    return (hidden[-1] * weight).sum(2) + bias, hidden


def input_gradients(parameters: Parameters, hidden: Sequence[Tensor], slope: float) -> Tensor:
    """[n, batch, d] gradient of each sample's logit, which can be differentiated by the weights.

    What the way back through the layers computes: their slopes do not change with the weights.
    """
    gradient = parameters[-2]
    for weight, values in zip(parameters[-4::-2], reversed(hidden), strict=True):
        slopes = torch.where(values.detach() > 0, 1.0, slope)
        gradient = torch.bmm(gradient * slopes, weight)
    return gradient


def _hidden(parameters: Parameters, values: Tensor, slope: float) -> list[Tensor]:
    hidden: list[Tensor] = []
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        values = functional.leaky_relu_(_linear(weight, bias, values), slope)
        hidden.append(values)
    return hidden


def _linear(weight: Tensor, bias: Tensor, values: Tensor) -> Tensor:
    return torch.baddbmm(bias[:, None], values, weight.transpose(1, 2))
