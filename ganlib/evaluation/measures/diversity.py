# pyright: standard
"""Diversity of images: how alike are random pairs of them? By structure (MS-SSIM) and by what a network sees."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from ganlib.spec.checks.pairs import SSIM_WINDOW

NUM_PAIRS = 500  # standard error: 4 % of the standard deviation over pairs
BATCH = 25  # pairs at once: inception-v3's activations of as many images take 130 MB
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, finest scale first

Images = NDArray[np.float32]


class Activating(Protocol):
    """What `perceptual_diversity` needs of an extractor."""

    def activations(self, images: Images, /) -> list[NDArray[np.float32]]:
        """[n, c_i, h_i, w_i] of a few layers."""
        ...


def ms_ssim_diversity(images: Images, rng: np.random.Generator, pairs: int = NUM_PAIRS) -> float:
    """Mean MS-SSIM, in [0, 1], over random pairs of images [n, c, h, w] in [-1, 1]: 1 where all are equal.

    High is alike, unlike what the name suggests. As many of the five scales are used as the size supports (one from
    11, two from 22, three from 44, four from 99, five from 176 pixels), their weights scaled to sum 1: compare it only
    at equal size. Negative similarities count as 0.

    Raises:
        ValueError: fewer than two images, or images smaller than 11 x 11.

    Source: Odena et al. 2017, "Conditional image synthesis with auxiliary classifier GANs".
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    weights = scale_weights(min(images.shape[-2:]))
    similarities = [
        multiscale_structural_similarity_index_measure(
            _unit_range(images[one]), _unit_range(images[other]), reduction="none", data_range=1.0, betas=weights
        )
        for one, other in _batches(len(images), rng, pairs)
    ]
    return float(torch.cat(similarities).double().mean())


def perceptual_diversity(
    images: Images, extractor: Activating, rng: np.random.Generator, pairs: int = NUM_PAIRS
) -> float:
    """Mean distance, in [0, 4], between the activations of random pairs of images [n, c, h, w]: 0 where all are equal.

    Activations are scaled to length 1 over the channels; their squared difference is summed over channels and averaged
    over places and layers. It is built like LPIPS, but not called so, as it has none of its learned weights.

    Raises:
        ValueError: fewer than two images.

    Source: Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric".
    """
    distances = [
        _layer_distance(extractor.activations(images[one]), extractor.activations(images[other]))
        for one, other in _batches(len(images), rng, pairs)
    ]
    return float(torch.cat(distances).mean())


def scale_weights(side: int) -> tuple[float, ...]:
    """Weights, of sum 1, of the scales that images with this shorter side support.

    The window must fit into the coarsest, halved for every scale but the first, and torchmetrics also wants it to fit
    (scales - 1)² times into the image.

    Raises:
        ValueError: smaller than the window.
    """
    if side < SSIM_WINDOW:
        raise ValueError(f"images must be at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels; the shorter side has {side}")
    scales = max(n for n in range(1, len(SCALE_WEIGHTS) + 1) if side // max(2 ** (n - 1), (n - 1) ** 2) >= SSIM_WINDOW)
    weights = SCALE_WEIGHTS[:scales]
    return tuple(weight / sum(weights) for weight in weights)


def _batches(n: int, rng: np.random.Generator, pairs: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Random pairs of different images, as indices, some at a time."""
    if n < 2:
        raise ValueError(f"at least two images are needed; there are {n}")
    one = rng.integers(n, size=pairs)
    other = (one + rng.integers(1, n, size=pairs)) % n
    for first in range(0, pairs, BATCH):
        yield one[first : first + BATCH], other[first : first + BATCH]


def _unit_range(images: Images) -> torch.Tensor:
    return torch.from_numpy((images + 1) / 2)


def _layer_distance(one: list[NDArray[np.float32]], other: list[NDArray[np.float32]]) -> torch.Tensor:
    """[pairs] mean over layers."""
    layers = [(_directions(a) - _directions(b)).square().sum(1).mean((1, 2)) for a, b in zip(one, other, strict=True)]
    return torch.stack(layers).mean(0)


def _directions(activations: NDArray[np.float32]) -> torch.Tensor:
    return normalize(torch.from_numpy(activations).double(), dim=1)
