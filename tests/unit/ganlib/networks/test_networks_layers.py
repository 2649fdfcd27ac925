"""Layers: normalisation, dropout and first weights, all of them functions of the seed."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from ganlib.networks.dropout import Dropout, start_dropouts
from ganlib.networks.frame import Frame
from ganlib.networks.layers import initialise
from ganlib.seeding import Stream, torch_generator
from ganlib.spec.layers import KaimingInit, NormalInit, OrthogonalInit, XavierInit
from tests.unit.ganlib.networks.test_networks import DIGIT, discriminator, generator, given, images

NORMS: dict[str, dict[str, Any]] = {
    "batch": {"kind": "batch"},
    "instance": {"kind": "instance"},
    "group": {"kind": "group", "groups": 2},
    "spectral": {"kind": "spectral"},
    "none": {"kind": "none"},
}


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name.replace("parametrizations.weight.original", "weight"): p for name, p in network.named_parameters()}


def with_norms(*families: str) -> list[tuple[str, str]]:
    """Every family with every norm that it has: a unit of an mlp is one value, which instance norm would make 0."""
    return [(f, n) for f in families for n in NORMS if (f, n) != ("mlp", "instance")]


@pytest.mark.parametrize(("family", "norm"), with_norms("deconv", "resnet", "unet", "mlp"))
def test_generators_work_with_every_norm(family, norm):
    made = generator(Frame(shape=(1, 32, 32)), family=family, norm=NORMS[norm])(given(family, (1, 32, 32)))
    assert made.isfinite().all()
    assert made.std() > 0


@pytest.mark.parametrize(("family", "norm"), with_norms("conv", "resnet", "patch", "mlp"))
def test_discriminators_work_with_every_norm(family, norm):
    logits = discriminator(family=family, norm=NORMS[norm])(images((1, 28, 28)))
    assert logits.isfinite().all()
    assert logits.std() > 0


@pytest.mark.parametrize("make", [generator, discriminator])
def test_norms_and_dropout_leave_the_weights_stream_alone(make):
    family = {"family": "deconv" if make is generator else "conv"}
    plain = weights(make(**family))
    for change in ({"norm": NORMS["spectral"]}, {"norm": NORMS["batch"]}, {"dropout": 0.5}):
        changed = weights(make(**family, **change))
        assert all(torch.equal(changed[name], value) for name, value in plain.items())


def test_spectral_norm_makes_the_largest_singular_value_one():
    network = discriminator(family="conv", norm=NORMS["spectral"]).eval()
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 3
    for layer in layers:
        largest = torch.linalg.svdvals(layer.weight.flatten(1))[0].item()
        assert largest == pytest.approx(1, abs=0.05)
        original = layer.get_parameter("parametrizations.weight.original")
        expected = original / torch.linalg.svdvals(original.flatten(1))[0]
        torch.testing.assert_close(layer.weight, expected, rtol=0.05, atol=1e-3)


def test_power_iterations_start_from_the_seed():
    one, same, other = (
        dict(discriminator(family="conv", norm=NORMS["spectral"], seed=s).named_buffers()) for s in (3, 3, 4)
    )
    assert len(one) == 6
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if one[name].numel() > 1)


def test_building_and_using_networks_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    generator(family="resnet", dropout=0.3)(given("resnet", (1, 28, 28)))
    discriminator(family="conv", dropout=0.3, norm=NORMS["spectral"], init={"kind": "orthogonal"})(images((1, 28, 28)))
    assert torch.equal(torch.get_rng_state(), before)


def dropout_layer(share: float, position: int = 0) -> Dropout:
    network = nn.Sequential(*(Dropout(share) for _ in range(2)))
    start_dropouts(network, 0, Stream.GENERATOR_DROPOUT)
    layer = network[position]
    assert isinstance(layer, Dropout)
    return layer


def test_dropout_drops_its_share_and_keeps_the_mean():
    dropped = dropout_layer(0.25)(torch.ones(200, 200))
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0, 4 / 3])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)


def test_dropout_masks_differ_from_use_to_use_and_layer_to_layer():
    ones = torch.ones(64)
    first = dropout_layer(0.5)
    masks = [first(ones), first(ones), dropout_layer(0.5, position=1)(ones)]
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[1], masks[2])
    assert torch.equal(dropout_layer(0.5)(ones), masks[0])


def test_dropout_goes_on_where_its_buffers_say():
    layer, resumed = dropout_layer(0.5), dropout_layer(0.5)
    layer(torch.ones(64))
    resumed.load_state_dict(layer.state_dict())
    assert torch.equal(resumed(torch.ones(64)), layer(torch.ones(64)))


def test_dropout_does_nothing_outside_training():
    layer = dropout_layer(0.5).eval()
    assert torch.equal(layer(torch.ones(9)), torch.ones(9))
    assert layer.calls == 0


def drawn(init: Any, layer: nn.Module) -> torch.Tensor:
    initialise(layer, init, torch_generator(0, Stream.GENERATOR_WEIGHTS))
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    assert layer.bias is not None
    assert not layer.bias.detach().any()
    return layer.weight.detach()


def test_first_weights_have_the_size_that_each_scheme_promises():
    assert drawn(NormalInit(std=0.5), nn.Linear(200, 300)).std().item() == pytest.approx(0.5, rel=0.02)
    xavier = drawn(XavierInit(gain=2), nn.Linear(200, 300)).abs().max().item()
    assert xavier == pytest.approx(2 * math.sqrt(6 / 500), rel=1e-3)
    kaiming = drawn(KaimingInit(slope=0.2), nn.Conv2d(8, 300, 5)).std().item()
    assert kaiming == pytest.approx(math.sqrt(2 / 1.04 / 200), rel=0.02)


def test_orthogonal_weights_have_orthonormal_rows_times_the_gain():
    layer = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    rows = drawn(OrthogonalInit(gain=3), layer).flatten(1)
    torch.testing.assert_close(rows @ rows.T, 9 * torch.eye(6), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["normal", "fan_in", "xavier", "kaiming", "orthogonal"])
def test_every_scheme_draws_all_of_a_network_from_the_seed(kind):
    frame = Frame(shape=DIGIT.shape, classes=3)
    options: dict[str, Any] = {"family": "conv", "init": {"kind": kind}, "condition": "projection"}
    one, same, other = (weights(discriminator(frame, seed=s, norm=NORMS["spectral"], **options)) for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if name.endswith("weight"))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("make", "family", "norm"),
    [(generator, *pair) for pair in with_norms("deconv", "resnet", "unet", "mlp")]
    + [(discriminator, *pair) for pair in with_norms("conv", "resnet", "patch", "mlp")],
)
def test_writing_over_activations_changes_no_value_and_no_gradient(make, family, norm, training):
    """Gradients of a penalty on gradients are the same but for rounding: their terms are added in another order."""
    frame = Frame(shape=(1, 32, 32))
    source = images(frame.shape) if make is discriminator else given(family, frame.shape)
    found = list[list[torch.Tensor]]()
    for writes_over in (True, False):
        network = make(frame, family=family, norm=NORMS[norm], leaky_slope=0.2).train(training)
        activations = [layer for layer in network.modules() if isinstance(layer, nn.LeakyReLU)]
        assert any(layer.inplace for layer in activations) or family == "unet"
        for layer in activations:
            layer.inplace &= writes_over
        start = source.clone().requires_grad_()
        values = network(start)
        weights_of = list(network.parameters())
        first = torch.autograd.grad(values.square().sum(), [start, *weights_of], create_graph=True)
        second = torch.autograd.grad(
            values.sum() + first[0].square().sum(), weights_of, allow_unused=True, materialize_grads=True
        )
        assert torch.equal(start, source)
        found.append([values, *first, torch.cat([g.flatten() for g in second])])
    (*over, over_second), (*fresh, fresh_second) = found
    assert all(torch.equal(value, wanted) for value, wanted in zip(over, fresh, strict=True))
    assert (over_second - fresh_second).norm() <= 1e-5 * fresh_second.norm()
