# pyright: standard
"""Measures of images that have a counterpart each, as in image translation."""

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.spec.checks.pairs import SSIM_WINDOW

BATCH = 100  # pairs at once

Images = NDArray[np.float32]


def l1(a: Images, b: Images) -> float:
    """Mean absolute difference, in [0, 2], between images [n, c, h, w] in [-1, 1] and their counterparts.

    Raises:
        ValueError: the shapes differ, or there is no image.
    """
    _check_pairs(a, b)
    return float(np.abs(a.astype(np.float64) - b).mean())


def ssim(a: Images, b: Images) -> float:
    """Mean structural similarity, in [-1, 1], of images [n, c, h, w] in [-1, 1] and their counterparts: 1 if equal.

    Gaussian window of 11 x 11 pixels (standard deviation 1.5), each channel by itself, as in the paper.

    Raises:
        ValueError: the shapes differ, there is no image, or images are smaller than 11 x 11.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check_pairs(a, b)
    if min(a.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(
            f"images must be at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels; they are {a.shape[-2]} x {a.shape[-1]}"
        )
    similarities: list[torch.Tensor] = [
        structural_similarity_index_measure(
            _unit_range(a[first : first + BATCH]),
            _unit_range(b[first : first + BATCH]),
            reduction="none",
            data_range=1.0,
        )  # pyright: ignore[reportAssignmentType]  (a pair only where the whole picture is asked for)
        for first in range(0, len(a), BATCH)
    ]
    return float(torch.cat(similarities).double().mean())


def _check_pairs(a: Images, b: Images) -> None:
    if a.shape != b.shape or not len(a):
        raise ValueError(f"images and counterparts must have one shape, with at least one: {a.shape} and {b.shape}")


def _unit_range(images: Images) -> torch.Tensor:
    return torch.from_numpy((images + 1) / 2)
