"""Networks of installed distributions: found under the entry-point group `ganlib.networks`. Imports no torch.

A spec names a family and its options, never code: only what an installed distribution has published is loaded.

    [project.entry-points."ganlib.networks"]     # in the distribution's pyproject.toml
    wavelet = "wavelet_gan.family:FAMILY"

    FAMILY = NetworkFamily(generator=PublishedNetwork(schema=WaveletGenerator, builder="wavelet_gan.torch_part:build"))
"""

import importlib.metadata
import re
from dataclasses import dataclass
from typing import Any, Literal

from ganlib.spec.networks import PluginDiscriminator, PluginGenerator
from ganlib.spec.part import Part

GROUP = "ganlib.networks"
Role = Literal["generator", "discriminator"]
Plugin = PluginGenerator | PluginDiscriminator


class NetworkUnavailable(ValueError):
    """The plugin's network is not to be had here, or cannot be built."""


class NetworkNotInstalled(NetworkUnavailable):
    """No distribution that is installed here publishes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedNetwork:
    """One network of a family."""

    schema: type[Part]
    """Its options, with `family: Literal["<the family's name>"]`; its module imports no torch."""
    builder: str
    """`module:function`, imported when a network is built. A generator's is called with (options, latent_dim=,
    shape=, num_classes=), a discriminator's with (options, shape=, num_classes=); it returns a torch module with
    `forward(latent or samples, labels=None)`, a discriminator's also with `features(samples, labels=None)`. Only
    torch's default generator is seeded around the call: weights are to be drawn from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFamily:
    """What an entry point gives."""

    generator: PublishedNetwork | None = None
    discriminator: PublishedNetwork | None = None


def find_network(role: Role, plugin: Plugin) -> PublishedNetwork:
    """What is published under the plugin's name.

    Raises:
        NetworkNotInstalled: nothing is.
        NetworkUnavailable: several distributions publish it, it cannot be loaded, or has no such network.
    """
    entry = _entry_point(role, plugin)
    try:
        family = entry.load()
    except Exception as error:  # another's module may raise anything
        raise NetworkUnavailable(
            f"{role}.name: the plugin '{plugin.name}' cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(family, NetworkFamily):
        raise NetworkUnavailable(f"{role}.name: the plugin '{plugin.name}' publishes no NetworkFamily")
    network = family.generator if role == "generator" else family.discriminator
    if network is None:
        raise NetworkUnavailable(f"{role}.name: the plugin '{plugin.name}' publishes no {role}")
    return network


def options_of(network: PublishedNetwork, plugin: Plugin) -> Part:
    """The plugin's options as its schema reads them.

    Raises:
        ValidationError: they do not fit it.
    """
    return network.schema.model_validate({"family": plugin.name} | plugin.options)


def load_builder(role: Role, plugin: Plugin, network: PublishedNetwork) -> Any:
    """The function that builds it.

    Raises:
        NetworkUnavailable: it cannot be imported.
    """
    try:
        return importlib.metadata.EntryPoint(plugin.name, network.builder, GROUP).load()
    except Exception as error:  # another's module may raise anything
        raise NetworkUnavailable(
            f"{role}.name: the builder of the plugin '{plugin.name}' cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _entry_point(role: Role, plugin: Plugin) -> importlib.metadata.EntryPoint:
    found = {_distribution(entry): entry for entry in importlib.metadata.entry_points(group=GROUP, name=plugin.name)}
    if plugin.distribution is not None:
        found = {name: entry for name, entry in found.items() if name == _normalised(plugin.distribution)}
    if not found:
        wanted = f"the distribution '{plugin.distribution}'" if plugin.distribution else "the distribution"
        raise NetworkNotInstalled(
            f"{role}.name: the network '{plugin.name}' is not installed here; install {wanted} that publishes it under "
            f"the entry-point group {GROUP}"
        )
    if len(found) > 1:
        raise NetworkUnavailable(
            f"{role}.distribution: several publish the network '{plugin.name}'; allowed: "
            + ", ".join(f"'{name}'" for name in sorted(found))
        )
    return next(iter(found.values()))


def _distribution(entry: importlib.metadata.EntryPoint) -> str:
    return _normalised(entry.dist.name) if entry.dist is not None else ""


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
