"""The convolution to few outputs is `nn.Conv2d` but for rounding, forwards, backwards and backwards twice."""

from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from ganlib.networks.few_outputs import ConvolutionToFew, _ProductAndFold, convolution_to_few
from ganlib.networks.frame import Frame
from tests.unit.ganlib.networks.test_networks import generator

SHAPES = [(16, 1, 3, 28), (32, 2, 1, 5), (48, 3, 5, 8), (64, 4, 7, 3)]
TOLERANCE = 1e-5  # float32 sums of up to 16 · 49 products in another order


def pair(inputs: int, outputs: int, side: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    """The plain form and the other, with the same weights."""
    torch.manual_seed(3)
    plain = nn.Conv2d(inputs, outputs, side, padding=side // 2).to(memory_format=torch.channels_last)
    few = convolution_to_few(inputs, outputs, side).to(memory_format=torch.channels_last)
    assert isinstance(few, ConvolutionToFew)
    few.load_state_dict(plain.state_dict())
    return plain, few


def images(inputs: int, size: int, memory_format: torch.memory_format) -> Tensor:
    drawn = torch.randn(4, inputs, size, size + 1, generator=torch.Generator().manual_seed(4))
    return drawn.contiguous(memory_format=memory_format).requires_grad_()


def gradients_of(layer: nn.Conv2d, seen: Tensor) -> list[Tensor]:
    """Values, first gradients, and gradients of a penalty on the first ones."""
    values = layer(seen)
    first = torch.autograd.grad(values.square().sum(), [seen, layer.weight], create_graph=True)
    penalty = torch.stack([g.square().sum() for g in first]).sum()
    second = torch.autograd.grad(penalty, [seen, layer.weight])
    return [values, *first, *second]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_values_gradients_and_their_gradients_are_those_of_the_plain_form(shape, memory_format):
    inputs, outputs, side, size = shape
    plain, few = pair(inputs, outputs, side)
    expected, found = (gradients_of(layer, images(inputs, size, memory_format)) for layer in (plain, few))
    for wanted, value in zip(expected, found, strict=True):
        assert (value - wanted).abs().max() <= TOLERANCE * wanted.abs().max()


def test_gradients_are_those_of_finite_differences():
    few = convolution_to_few(16, 1, 3).double()
    seen = images(16, 3, torch.channels_last).detach().double().requires_grad_()
    assert torch.autograd.gradcheck(_ProductAndFold.apply, (seen, few.weight))
    assert torch.autograd.gradgradcheck(_ProductAndFold.apply, (seen, few.weight))


@pytest.mark.parametrize(("inputs", "outputs", "side"), [(8, 1, 3), (32, 3, 3), (128, 8, 3), (128, 1, 9)])
def test_shapes_for_which_it_is_slower_or_large_take_the_plain_form(inputs, outputs, side):
    assert type(convolution_to_few(inputs, outputs, side)) is nn.Conv2d


def test_other_precisions_take_the_plain_form():
    plain, few = pair(32, 1, 3)
    seen = images(32, 6, torch.channels_last)
    assert torch.equal(few.double()(seen.double()), plain.double()(seen.double()))
    plain, few = pair(32, 1, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(few(seen), plain(seen))


@pytest.mark.parametrize(("family", "kernel"), [("deconv", "last_kernel_size"), ("resnet", "kernel_size")])
def test_the_weights_have_the_names_and_first_values_of_the_plain_form(family, kernel):
    digit = Frame(shape=(1, 28, 28))
    few = generator(digit, family=family, width=16, **{kernel: 5})
    assert isinstance(few.last, ConvolutionToFew)
    with mock.patch("ganlib.networks.few_outputs.MOST_OUTPUTS", 0):
        plain = generator(digit, family=family, width=16, **{kernel: 5})
    assert type(plain.last) is nn.Conv2d
    torch.testing.assert_close(few.state_dict(), plain.state_dict(), rtol=0, atol=0)
