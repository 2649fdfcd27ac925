# pyright: standard
"""Builds the networks of installed distributions, and tries them once."""

from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ganlib.networks.frame import Frame
from ganlib.spec.network_plugins import (
    NetworkUnavailable,
    Plugin,
    Role,
    find_network,
    load_builder,
    options_of,
)
from ganlib.spec.problems import in_words, problems_of

TRIED = 2  # samples


def build_plugin(role: Role, plugin: Plugin, frame: Frame, generator: torch.Generator) -> nn.Module:
    """The published network on the CPU in training mode, its weights drawn from the generator's seed.

    Raises:
        NetworkUnavailable: it is not installed here, its options do not fit, or it cannot be built.
    """
    network = find_network(role, plugin)
    try:
        options = options_of(network, plugin)
    except ValidationError as error:
        problems = problems_of(error, network.schema, whole="")
        named = {f"{role}.options.{field}".removesuffix("."): message for field, message in problems.items()}
        raise NetworkUnavailable(in_words(named)) from None
    build = load_builder(role, plugin, network)
    facts: dict[str, Any] = {"shape": frame.shape, "num_classes": frame.classes}
    if role == "generator":
        facts["latent_dim"] = getattr(plugin, "latent_dim", 0)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        try:
            built = build(options, **facts)
            _try(role, built, frame, facts.get("latent_dim", 0))
        except Exception as error:  # another's code may raise anything
            raise NetworkUnavailable(
                f"{role}.name: the plugin '{plugin.name}' cannot build this network: {type(error).__name__}: {error}"
            ) from error
    return built.train()


@torch.no_grad()
def _try(role: Role, network: Any, frame: Frame, latent_dim: int) -> None:
    """Returns where the network takes and gives what it should."""
    network.eval()
    labels = torch.zeros(TRIED, dtype=torch.int64) if frame.classes else None
    given = torch.zeros(TRIED, latent_dim) if role == "generator" else torch.zeros(TRIED, *frame.shape)
    answer: Tensor = network(given, labels)
    if role == "generator" and answer.shape != (TRIED, *frame.shape):
        raise ValueError(f"samples have the shape {tuple(answer.shape[1:])}, not {frame.shape}")
    if role == "discriminator":
        features: Tensor = network.features(given, labels)
        if answer.ndim not in (1, 3) or len(answer) != TRIED or features.ndim != 2 or len(features) != TRIED:
            raise ValueError("forward gives logits [n] or [n, h, w], features gives [n, d]")
