"""Plugins: networks of installed distributions, and what is said where they are not installed or do not work."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlib.data.load import load_dataset
from ganlib.networks.build import build_discriminator, build_generator
from ganlib.spec.hashing import spec_hash
from ganlib.spec.network_plugins import NetworkUnavailable
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training import checkpoint
from ganlib.training.loop import TrainingLoop

CPU = torch.device("cpu")
SCHEMAS = """
from typing import Literal
from pydantic import Field
from ganlib.spec.network_plugins import NetworkFamily, PublishedNetwork
from ganlib.spec.part import Part

class G(Part):
    family: Literal["tiny"] = "tiny"
    depth: int = Field(default=1, ge=1, le=4)

class D(Part):
    family: Literal["tiny"] = "tiny"
    depth: int = Field(default=1, ge=1, le=4)
    fault: Literal["none", "shape", "raise"] = "none"

FAMILY = NetworkFamily(
    generator=PublishedNetwork(schema=G, builder="MODULE_nets:build_generator"),
    discriminator=PublishedNetwork(schema=D, builder="MODULE_nets:build_discriminator"),
)
ONLY_GENERATOR = NetworkFamily(generator=PublishedNetwork(schema=G, builder="MODULE_absent:build"))
NOTHING = "text"
"""
NETS = """
import math
import torch
from torch import nn

class Generator(nn.Module):
    def __init__(self, inputs, depth, shape):
        super().__init__()
        self.shape = shape
        self.scale = nn.Parameter(torch.randn(3))
        hidden = (nn.Linear(inputs, inputs) for _ in range(depth))
        self.layers = nn.Sequential(*hidden, nn.Linear(inputs, math.prod(shape)))

    def forward(self, latent, labels=None):
        return self.layers(latent).view(-1, *self.shape)

class Discriminator(nn.Module):
    def __init__(self, shape, depth):
        super().__init__()
        self.last = nn.Linear(math.prod(shape), 1)

    def forward(self, samples, labels=None):
        return self.last(self.features(samples)).squeeze(1)

    def features(self, samples, labels=None):
        return samples.flatten(1)

def build_generator(options, *, latent_dim, shape, num_classes):
    return Generator(latent_dim, options.depth, shape)

def build_discriminator(options, *, shape, num_classes):
    if options.fault == "raise":
        raise RuntimeError("no such wavelet")
    return Discriminator((*shape, 2) if options.fault == "shape" else shape, options.depth)
"""


def install(where: Path, monkeypatch: pytest.MonkeyPatch, *, distribution: str, module: str, **entries: str) -> None:
    """What installing a distribution leaves in site-packages."""
    info = where / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {module}:{attribute}" for name, attribute in entries.items())
    (info / "entry_points.txt").write_text(f"[ganlib.networks]\n{lines}\n")
    (where / f"{module}.py").write_text(SCHEMAS.replace("MODULE", module))
    (where / f"{module}_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(where))
    for name in (module, f"{module}_nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"tiny": "FAMILY", "half": "ONLY_GENERATOR", "odd": "NOTHING", "gone": "ABSENT"}
    install(tmp_path / "site", monkeypatch, distribution="tiny-gan", module="tiny_gan", **entries)


def request(*, role: str = "generator", **plugin: Any) -> RunRequest:
    mlp = {"family": "mlp", "width": 8}
    spec: dict[str, Any] = {
        "dataset": {"name": "ring8", "size": 200},
        "generator": mlp,
        "discriminator": mlp,
        "training": {"epochs": 2, "steps_per_epoch": 2, "batch_size": 8},
    }
    return RunRequest(spec=spec | {role: {"family": "plugin", **plugin}})


def refused(**plugin: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as error:
        request(**plugin).resolve()
    return error.value.problems


@pytest.mark.usefixtures("installed")
def test_options_are_checked_against_the_published_schema_without_importing_the_network():
    assert request(name="tiny", options={"depth": 2}).resolve().generator.family == "plugin"
    assert "less than or equal to 4" in refused(name="tiny", options={"depth": 5})["generator.options.depth"]
    assert "allowed: family, depth" in refused(name="tiny", options={"width": 5})["generator.options.width"]
    assert "tiny_gan" in sys.modules
    assert "tiny_gan_nets" not in sys.modules


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("role", "name", "words"),
    [
        ("discriminator", "half", "publishes no discriminator"),
        ("generator", "odd", "publishes no NetworkFamily"),
        ("generator", "gone", "cannot be loaded: AttributeError"),
    ],
)
def test_a_plugin_that_does_not_publish_the_network_is_refused(role, name, words):
    assert words in refused(role=role, name=name)[f"{role}.name"]


def test_what_is_not_installed_here_is_accepted_and_fails_by_name_when_it_is_built():
    spec = request(name="tiny", distribution="tiny-gan", options={"anything": [1, "a", None]}).resolve()
    with pytest.raises(
        NetworkUnavailable,
        match=r"generator\.name: the network 'tiny' is not installed here; install the distribution 'tiny-gan'",
    ):
        build_generator(spec, CPU)


def test_a_spec_means_the_same_whether_its_plugin_is_installed_or_not(tmp_path, monkeypatch):
    spec = request(name="tiny", options={"depth": 9}).resolve()
    install(tmp_path, monkeypatch, distribution="tiny-gan", module="tiny_gan", tiny="FAMILY")
    assert spec_hash(RunSpec.model_validate(spec.model_dump(mode="json"))) == spec_hash(spec)
    with pytest.raises(NetworkUnavailable, match=r"generator\.options\.depth: Input should be less than or equal to 4"):
        build_generator(spec, CPU)


def test_a_name_that_two_distributions_publish_needs_the_distribution(tmp_path, monkeypatch):
    for name in ("tiny-gan", "other.gan"):
        module = name.replace("-", "_").replace(".", "_")
        install(tmp_path / name, monkeypatch, distribution=name, module=module, tiny="FAMILY")
    assert "allowed: 'other-gan', 'tiny-gan'" in refused(name="tiny")["generator.distribution"]
    assert request(name="tiny", distribution="Other_GAN").resolve()


def test_a_name_that_looks_like_a_module_imports_nothing():
    spec = request(name="antigravity", distribution="this").resolve()
    with pytest.raises(NetworkUnavailable, match="is not installed here"):
        build_generator(spec, CPU)
    assert "antigravity" not in sys.modules


@pytest.mark.usefixtures("installed")
def test_a_plugins_weights_come_from_the_seed_and_leave_the_global_generator_alone():
    spec = request(name="tiny").resolve()
    before = torch.get_rng_state()
    one, same = (build_generator(spec, CPU).state_dict() for _ in range(2))
    other = build_generator(spec.model_copy(update={"seed": 1}), CPU).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("fault", "words"), [("raise", "RuntimeError: no such wavelet"), ("shape", "cannot build")])
def test_a_network_that_cannot_be_built_or_used_is_unavailable(fault, words):
    spec = request(role="discriminator", name="tiny", options={"fault": fault}).resolve()
    with pytest.raises(NetworkUnavailable, match=words):
        build_discriminator(spec, CPU)


@pytest.mark.usefixtures("installed")
def test_plugins_train_and_resume_bit_identically(tmp_path):
    spec = request(name="tiny", latent_dim=3).resolve()
    data = load_dataset(spec.dataset, Path(), 0)
    expected = list(TrainingLoop(spec, data, device=CPU).epochs())
    first = TrainingLoop(spec, data, device=CPU)
    next(first.epochs())
    checkpoint.save(tmp_path / "c.safetensors", first.state())
    resumed = TrainingLoop(spec, data, device=CPU, state=checkpoint.load(tmp_path / "c.safetensors"))
    assert next(resumed.epochs()).steps.tobytes() == expected[1].steps.tobytes()
    assert np.isfinite(expected[1].steps).all()
