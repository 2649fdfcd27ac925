"""What a network is built around, and how it is told a sample's class."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The samples and classes that a network deals with."""

    shape: tuple[int, ...]
    """Of one sample: (channels, side, side) for images."""
    classes: int = 0
    """Classes that it is told apart; 0: it is not conditional."""
    source_channels: int | None = None
    """Channels of the image that a U-Net starts from; null: as many as it makes."""


def one_hot(labels: Tensor | None, classes: int, like: Tensor) -> Tensor:
    """Labels [n] → [n, classes] of 0 and 1 with the type and device of `like`.

    Raises:
        ValueError: there are no labels.
    """
    if labels is None:
        raise ValueError("labels: a conditional network needs the class of every sample")
    return functional.one_hot(labels, classes).to(like)


def with_class(vectors: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """[n, d] → [n, d + classes], the class one-hot behind; as they are where `classes` is 0."""
    return torch.cat([vectors, one_hot(labels, classes, vectors)], 1) if classes else vectors


def with_planes(images: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """[n, c, h, w] → [n, c + classes, h, w], the class as planes of 0 and 1 behind; as they are without classes."""
    if not classes:
        return images
    planes = one_hot(labels, classes, images)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([images, planes], 1)
