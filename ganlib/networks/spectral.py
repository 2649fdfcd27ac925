# pyright: standard
"""Spectral normalisation of a whole network, with power iterations that start from the spec's seed."""

import torch
from torch import nn
from torch.nn.utils import parametrizations

from ganlib.networks.layers import WEIGHTED
from ganlib.seeding import Stream, torch_generator

FIRST_ROUNDS = 15  # as torch's own start: the first forward pass already sees a good estimate


def add_spectral_norm(network: nn.Module, iterations: int, seed: int, stream: Stream) -> None:
    """Divide every weight by its largest singular value, estimated anew each time it is used in training.

    The network has its first weights and is in training mode. A convolution's weight counts as the matrix
    [outputs, inputs · kernel²]. Source: Miyato et al. 2018.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, WEIGHTED)]
    for index, layer in enumerate(layers):
        with torch.random.fork_rng(devices=[]):  # torch starts from its global generator
            parametrizations.spectral_norm(layer, n_power_iterations=iterations)
        _start(layer, torch_generator(seed, stream, index))


@torch.no_grad()
def _start(layer: nn.Module, generator: torch.Generator) -> None:
    """Draw the estimates of the singular vectors, and improve them."""
    for vector in layer.get_submodule("parametrizations.weight.0").buffers():
        vector.normal_(generator=generator)
        vector.div_(vector.norm())
    for _ in range(FIRST_ROUNDS):
        _ = layer.weight  # computing it is a round
