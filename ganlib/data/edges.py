"""Edges of images, drawn as dark lines on white: what an image translation is given to fill in.

*Source*: the task edges → photo of Isola et al. 2017. Their lines come from a trained edge detector; these from Sobel's
filter, so that any set of images gives pairs.
"""

import numpy as np
from numpy.typing import NDArray

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue, as ITU-R BT.601
GAIN = 4.0  # black from a step of 128 levels on
BLOCK = 1024


def edges_of(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Edges [n, 1, height, width] of images [n, channels, height, width] with 1 or 3 channels.

    255 - min(255, 4·|∇Y|), where Y is the luminance and ∇ Sobel's filter over 8, in levels a pixel; at the border,
    pixels are repeated. A step of h levels gives |∇Y| = h/2 on both of its sides.
    """
    drawn = np.empty((len(images), 1, *images.shape[2:]), np.uint8)
    for start in range(0, len(images), BLOCK):
        drawn[start : start + BLOCK, 0] = _drawn(images[start : start + BLOCK])
    return drawn


def _drawn(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = np.tensordot(images, LUMINANCE, (1, 0)) if images.shape[1] == 3 else images[:, 0].astype(np.float32)
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = _smoothed(padded[:, :, 2:] - padded[:, :, :-2], axis=1)
    down = _smoothed(padded[:, 2:] - padded[:, :-2], axis=2)
    return (255 - np.minimum(255, np.rint(GAIN * np.hypot(across, down)))).astype(np.uint8)


def _smoothed(differences: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
    """(1, 2, 1) over 8 along the axis, which gets shorter by two: a quarter to smooth, a half for the difference."""
    size = differences.shape[axis] - 2
    before, here, after = (np.take(differences, range(k, k + size), axis) for k in range(3))
    return (before + 2 * here + after) / 8
