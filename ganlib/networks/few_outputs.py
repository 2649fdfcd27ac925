# pyright: standard
"""A convolution with few output channels, on the CPU as one matrix product and an addition of shifted planes.

oneDNN's convolutions fill their vectors with output channels: with one of them most of each vector is empty. Here the
vectors are filled with pixels. The numbers are those of `nn.Conv2d` but for rounding.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_INPUTS_AN_OUTPUT = 16
"""At 16 it takes as long or up to a third less, at 128 half to a quarter of the time; at 8 it loses."""
MOST_OUTPUTS = 4
LARGEST_KERNEL = 7
"""Between both, the product is at most 49 / 16 of the input's size."""


def convolution_to_few(inputs: int, outputs: int, kernel_size: int) -> nn.Conv2d:
    """A convolution that keeps the side, in the form that is faster for its shape; the kernel's size is odd."""
    few = outputs <= MOST_OUTPUTS and inputs >= LEAST_INPUTS_AN_OUTPUT * outputs and kernel_size <= LARGEST_KERNEL
    kind = ConvolutionToFew if few else nn.Conv2d
    return kind(inputs, outputs, kernel_size, padding=kernel_size // 2)


class ConvolutionToFew(nn.Conv2d):
    """`nn.Conv2d` of stride 1 that keeps the side, with a bias; its weights are the same."""

    def forward(self, input: Tensor) -> Tensor:
        """[n, inputs, h, w] → [n, outputs, h, w]."""
        if input.device.type != "cpu" or input.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        planes: Tensor = _ProductAndFold.apply(input, self.weight)  # pyright: ignore[reportAssignmentType]
        return planes if self.bias is None else planes + self.bias[:, None, None]


class _ProductAndFold(torch.autograd.Function):
    """[n, c, h, w] and weights [o, c, k, k] → [n, o, h, w].

    Each pixel times each weight is a product of the pixels [n·h·w, c] and the weights [o·k·k, c]; `fold` adds
    what belongs to the same output. Autograd's own backward of this copies the transposed product; this one does not.
    Both directions are made of differentiable operations, so gradients of gradients are right.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        count, _, height, width = images.shape
        outputs, _, side, _ = weight.shape
        products = _rows(weight) @ _pixels(images).t()
        columns = products.view(outputs * side * side, count, height * width).transpose(0, 1)
        return functional.fold(columns, (height, width), side, padding=side // 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, weight = ctx.saved_tensors
        count, channels, height, width = images.shape
        outputs, _, side, _ = weight.shape
        columns = functional.unfold(gradients[0], side, padding=side // 2)
        columns = columns.transpose(0, 1).reshape(outputs * side * side, count * height * width)
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = (columns.t() @ _rows(weight)).view(count, height, width, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            rows = (columns @ _pixels(images)).view(outputs, side, side, channels)
            of_weight = rows.permute(0, 3, 1, 2).flip(2, 3)
        return of_images, of_weight


def _rows(weight: Tensor) -> Tensor:
    """[o, c, k, k] → [o·k·k, c]; turned around, for the pixels are what is spread."""
    outputs, channels, side, _ = weight.shape
    return weight.flip(2, 3).permute(0, 2, 3, 1).reshape(outputs * side * side, channels)


def _pixels(images: Tensor) -> Tensor:
    """[n, c, h, w] → [n·h·w, c]; without a copy where the channels are last in memory."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])
