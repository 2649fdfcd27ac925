"""Networks: every family at every size, told the class or not, and what their layers compute."""

import math
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from ganlib.networks.build import make_discriminator, make_generator
from ganlib.networks.conv import Conv
from ganlib.networks.deconv import Deconv
from ganlib.networks.frame import Frame, with_class, with_planes
from ganlib.networks.minibatch import Similarities, similarities
from ganlib.spec.checks.networks import halvings
from ganlib.spec.layers import Minibatch
from ganlib.spec.networks import Discriminator, Generator

G_WEIGHTS = (0.0029572441708296537, 0.01792972907423973)  # first and last of seed 0
D_WEIGHTS = (0.039834946393966675, -0.015327558852732182)
GENERATORS = ("deconv", "resnet", "mlp", "unet")
DISCRIMINATORS = ("conv", "resnet", "mlp", "patch")
DIGIT = Frame(shape=(1, 28, 28))


def generator(frame: Frame = DIGIT, seed: int = 0, **part: Any) -> Any:
    return make_generator(TypeAdapter[Any](Generator).validate_python({"width": 4} | part), frame, seed)


def discriminator(frame: Frame = DIGIT, seed: int = 0, **part: Any) -> Any:
    return make_discriminator(TypeAdapter[Any](Discriminator).validate_python({"width": 4} | part), frame, seed)


def given(family: str, shape: tuple[int, ...]) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn((3, *shape) if family == "unet" else (3, 2 if family == "mlp" else 128), generator=draw)


def images(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand((3, *shape), generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 128, 128)])
@pytest.mark.parametrize("family", GENERATORS)
def test_every_generator_makes_images_of_every_size(family, shape):
    made = generator(Frame(shape=shape), family=family)(given(family, shape))
    assert made.shape == (3, *shape)
    assert made.abs().max() <= 1


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 128, 128)])
@pytest.mark.parametrize("family", DISCRIMINATORS)
def test_every_discriminator_judges_images_of_every_size(family, shape):
    network = discriminator(Frame(shape=shape), family=family)
    logits, features = network(images(shape)), network.features(images(shape))
    assert logits.shape[0] == 3
    assert logits.ndim == (3 if family == "patch" else 1)
    assert features.shape[0] == 3
    assert features.ndim == 2


@pytest.mark.parametrize("frame", [Frame(shape=(2,)), Frame(shape=(1,), classes=2)])
def test_mlps_make_and_judge_points_of_any_dimension(frame):
    condition: dict[str, Any] = {"condition": "concat"} if frame.classes else {}
    labels = torch.tensor([0, 1, 1]) if frame.classes else None
    made = generator(frame, family="mlp", norm={"kind": "batch"}, **condition)(given("mlp", frame.shape), labels)
    assert made.shape == (3, *frame.shape)
    assert discriminator(frame, family="mlp", norm={"kind": "group", "groups": 2}, **condition)(made, labels).shape == (
        3,
    )


def test_the_published_networks_keep_their_first_weights():
    g, d = generator(family="deconv", width=128, seed=0), discriminator(family="conv", width=64, seed=0)
    for network, first, last in ((g, G_WEIGHTS[0], G_WEIGHTS[1]), (d, D_WEIGHTS[0], D_WEIGHTS[1])):
        values = torch.cat([p.detach().contiguous().flatten() for p in network.parameters()])
        assert values[0].item() == pytest.approx(first, rel=1e-5)
        assert values[-1].item() == pytest.approx(last, rel=1e-5)


@pytest.mark.parametrize(
    ("side", "times"), [(4, 0), (5, 0), (6, 1), (12, 2), (28, 2), (30, 1), (32, 3), (48, 4), (64, 4), (128, 5)]
)
def test_a_side_is_halved_while_it_is_even_and_above_four(side, times):
    assert halvings(side) == times


def test_layers_that_cannot_double_the_side_keep_it_and_come_first():
    network = generator(family="deconv", layers=4)
    assert isinstance(network, Deconv)
    assert network.start == (4, 7, 7)
    sides = []
    hidden = torch.zeros(1, 4, 7, 7)
    for layer in network.hidden:
        hidden = layer(hidden)
        sides.append(hidden.shape[-1])
    assert sides == [7, 7, 14, 28]


def test_layers_that_cannot_halve_the_side_keep_it_and_come_last():
    network = discriminator(family="conv", layers=3)
    assert isinstance(network, Conv)
    sides = []
    hidden = torch.zeros(1, 1, 28, 28)
    for layer in network.hidden:
        hidden = layer(hidden)
        sides.append(hidden.shape[-1])
    assert sides == [14, 7, 7]


@pytest.mark.parametrize("kernel", [2, 3, 5, 28])
def test_any_kernel_keeps_the_sizes(kernel):
    made = generator(family="deconv", layers=3, kernel_size=kernel)(given("deconv", (1, 28, 28)))
    assert made.shape == (3, 1, 28, 28)
    assert discriminator(family="conv", layers=3, kernel_size=kernel)(made).shape == (3,)
    if kernel > 2:
        assert discriminator(family="patch", layers=2, kernel_size=kernel)(made).ndim == 3


def test_a_patch_logit_sees_70_pixels():
    network = discriminator(Frame(shape=(1, 128, 128)), family="patch", norm={"kind": "none"})
    picture = torch.zeros(1, 1, 128, 128, requires_grad=True)
    logits = network(picture)
    assert logits.shape == (1, 14, 14)
    (gradient,) = torch.autograd.grad(logits[0, 7, 7], picture)
    rows = gradient[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70


def test_a_unet_passes_every_level_on_directly():
    network = generator(Frame(shape=(3, 32, 32), source_channels=1), family="unet", dropout=0.0)
    assert len(network.downs) == 5
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 3, 32, 32)
    picture = torch.ones(2, 1, 32, 32, requires_grad=True)
    network.downs[1] = Cut(network.downs[1])
    network(picture).sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0  # the way round the cut


class Cut(nn.Module):
    """Passes values on, and no gradient."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.inner(values).detach()


def test_a_unet_refuses_a_side_that_does_not_halve_so_often():
    with pytest.raises(ValueError, match=r"generator\.layers: 28 pixels halve evenly 2 times, not 3"):
        generator(family="unet", layers=3)


def test_a_class_is_appended_as_one_hot_entries_or_planes():
    labels = torch.tensor([1, 0])
    assert with_class(torch.tensor([[5.0], [6.0]]), labels, 2).tolist() == [[5, 0, 1], [6, 1, 0]]
    planes = with_planes(torch.full((2, 1, 1, 2), 7.0), labels, 2)
    assert planes.tolist() == [[[[7, 7]], [[0, 0]], [[1, 1]]], [[[7, 7]], [[1, 1]], [[0, 0]]]]


@pytest.mark.parametrize("family", GENERATORS)
def test_a_conditional_generator_makes_another_sample_of_another_class(family):
    frame = Frame(shape=(1, 28, 28), classes=3)
    network = generator(frame, family=family, condition="concat", norm={"kind": "none"}, dropout=0.0)
    latent = given(family, frame.shape)
    one, two = (network(latent, torch.full((3,), c)) for c in (0, 2))
    assert not torch.allclose(one, two)
    with pytest.raises(ValueError, match="labels: a conditional network needs the class"):
        network(latent)


@pytest.mark.parametrize(
    ("family", "condition"),
    [(f, c) for f in DISCRIMINATORS for c in ("concat", "projection") if (f, c) != ("patch", "projection")],
)
def test_a_conditional_discriminator_judges_a_sample_by_its_class(family, condition):
    frame = Frame(shape=(1, 28, 28), classes=3)
    network = discriminator(frame, family=family, condition=condition, norm={"kind": "none"})
    one, two = (network(images(frame.shape), torch.full((3,), c)) for c in (0, 2))
    assert not torch.allclose(one, two)
    with pytest.raises(ValueError, match="labels: a conditional network needs the class"):
        network(images(frame.shape))


def test_projection_adds_the_inner_product_of_features_and_class_vector():
    frame = Frame(shape=(1, 28, 28), classes=3)
    network, plain = (discriminator(f, family="conv", condition=c) for f, c in ((frame, "projection"), (DIGIT, "none")))
    samples, labels = images(frame.shape), torch.tensor([2, 0, 2])
    expected = (network.features(samples) * network.head.vectors.weight[labels]).sum(1)
    torch.testing.assert_close(network(samples, labels) - plain(samples), expected)


def test_similarities_sum_over_the_others_of_the_batch():
    rows = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[1.0, -2.0]]])
    e = [math.exp(-d) for d in (1, 3, 2)]
    assert similarities(rows).flatten().tolist() == pytest.approx([e[0] + e[1], e[0] + e[2], e[1] + e[2]])
    assert similarities(torch.zeros(4, 2, 5)).tolist() == [[3.0, 3.0]] * 4
    assert similarities(torch.zeros(1, 2, 5)).tolist() == [[0.0, 0.0]]


def test_similarities_have_finite_gradients_where_samples_are_equal():
    layer = Similarities(Minibatch(kernels=3, size=2), 4)
    features = torch.ones(5, 4, requires_grad=True)
    layer(features).sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("family", ["conv", "resnet", "mlp"])
def test_minibatch_discrimination_lets_a_logit_depend_on_the_rest_of_the_batch(family):
    network = discriminator(family=family, minibatch={"kernels": 4, "size": 2}, norm={"kind": "none"})
    batch = images((1, 28, 28))
    alone, among = network(batch[:1].repeat(3, 1, 1, 1))[0], network(batch)[0]
    assert alone != among
    torch.testing.assert_close(network.features(batch)[:1], network.features(batch[:1]))


@pytest.mark.parametrize("family", DISCRIMINATORS)
def test_gradient_penalties_go_through_every_discriminator(family):
    option: dict[str, Any] = {} if family == "patch" else {"minibatch": {"kernels": 4, "size": 2}}
    network = discriminator(family=family, norm={"kind": "spectral"}, dropout=0.2, **option)
    samples = images((1, 28, 28)).requires_grad_()
    (gradient,) = torch.autograd.grad(network(samples).sum(), samples, create_graph=True)
    gradient.square().sum().backward()
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    assert grads
    assert all(g.isfinite().all() for g in grads)
    assert any(g.abs().sum() > 0 for g in grads)
