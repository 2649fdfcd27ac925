"""From a spec to the two networks, by table."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ganlib.networks.conv import Conv
from ganlib.networks.deconv import Deconv
from ganlib.networks.dropout import start_dropouts
from ganlib.networks.frame import Frame
from ganlib.networks.layers import initialise
from ganlib.networks.mlp import MlpD, MlpG
from ganlib.networks.patch import Patch
from ganlib.networks.plugin import build_plugin
from ganlib.networks.resnet import ResnetD, ResnetG
from ganlib.networks.several import MixedGenerators, PerClass
from ganlib.networks.spectral import add_spectral_norm
from ganlib.networks.unet import Unet
from ganlib.seeding import Stream, member_seed, torch_generator
from ganlib.spec.layers import SpectralNorm
from ganlib.spec.network_plugins import Role
from ganlib.spec.networks import Discriminator, Generator, PluginDiscriminator, PluginGenerator
from ganlib.spec.remedies import GeneratorMixture, GeneratorPerClass
from ganlib.spec.run import RunSpec

Builder = Callable[[Any, Frame], nn.Module]
GENERATORS: dict[str, Builder] = {"deconv": Deconv, "mlp": MlpG, "resnet": ResnetG, "unet": Unet}
DISCRIMINATORS: dict[str, Builder] = {"conv": Conv, "mlp": MlpD, "patch": Patch, "resnet": ResnetD}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One of the two networks: its families, and the streams that its values are drawn from."""

    role: Role
    families: dict[str, Builder]
    weights: Stream
    power: Stream
    dropout: Stream


_GENERATOR = _Kind(
    role="generator",
    families=GENERATORS,
    weights=Stream.GENERATOR_WEIGHTS,
    power=Stream.GENERATOR_POWER,
    dropout=Stream.GENERATOR_DROPOUT,
)
_DISCRIMINATOR = _Kind(
    role="discriminator",
    families=DISCRIMINATORS,
    weights=Stream.DISCRIMINATOR_WEIGHTS,
    power=Stream.DISCRIMINATOR_POWER,
    dropout=Stream.DISCRIMINATOR_DROPOUT,
)


def build_generator(spec: RunSpec, device: torch.device) -> nn.Module:
    """The spec's generator with its first weights, in training mode.

    Raises:
        NetworkUnavailable: it is a plugin's, and not to be had here.
    """
    frame, several = _frame(spec, spec.generator, spec.data.shape), spec.remedies.generators
    match several:
        case None:
            network = make_generator(spec.generator, frame, spec.seed)
        case GeneratorMixture():
            network = MixedGenerators(_members(spec, frame, several.count))
        case GeneratorPerClass():
            network = PerClass(_members(spec, replace(frame, classes=0), frame.classes))
    return network.to(device)


def build_discriminator(spec: RunSpec, device: torch.device) -> nn.Module:
    """The spec's discriminator with its first weights, in training mode.

    Raises:
        NetworkUnavailable: it is a plugin's, and not to be had here.
    """
    frame = _frame(spec, spec.discriminator, spec.discriminator_shape)
    return make_discriminator(spec.discriminator, frame, spec.seed).to(device)


def make_generator(part: Generator, frame: Frame, seed: int) -> nn.Module:
    """A generator on the CPU with its first weights, in training mode."""
    return _make(part, _GENERATOR, frame, seed)


def make_discriminator(part: Discriminator, frame: Frame, seed: int) -> nn.Module:
    """A discriminator on the CPU with its first weights, in training mode."""
    return _make(part, _DISCRIMINATOR, frame, seed)


def _make(part: Generator | Discriminator, kind: _Kind, frame: Frame, seed: int) -> nn.Module:
    weights = torch_generator(seed, kind.weights)
    if isinstance(part, PluginGenerator | PluginDiscriminator):
        return _laid_out(build_plugin(kind.role, part, frame, weights))
    with torch.device("meta"):  # without values: torch's own initialisation would draw from its global generator
        network = kind.families[part.family](part, frame)
    network = _laid_out(network.to_empty(device="cpu"))
    initialise(network, part.init, weights)
    if isinstance(part.norm, SpectralNorm):
        add_spectral_norm(network, part.norm.iterations, seed, kind.power)
    start_dropouts(network, seed, kind.dropout)
    return network


def _members(spec: RunSpec, frame: Frame, count: int) -> list[nn.Module]:
    """Generators that differ in their first weights; the first is the one that there would be alone."""
    return [make_generator(spec.generator, frame, member_seed(spec.seed, number)) for number in range(count)]


def _frame(spec: RunSpec, part: Generator | Discriminator, shape: tuple[int, ...]) -> Frame:
    classes = 0 if part.condition == "none" else spec.num_classes
    return Frame(shape=shape, classes=classes, source_channels=spec.input_channels or None)


def _laid_out(network: nn.Module) -> nn.Module:
    # channels last: 1.2 x faster at width 32 and 128 on the CPU, and what tensor cores want
    return network.to(memory_format=torch.channels_last)
