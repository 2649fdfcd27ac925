"""Stacked MNIST: three digits as the colour channels of an image (Metz et al. 2017, Srivastava et al. 2017)."""

import numpy as np
from numpy.typing import NDArray

CHANNELS = 3
DIGITS = 10
NUM_MODES = DIGITS**CHANNELS


def draw_stacked(
    digits: NDArray[np.uint8], labels: NDArray[np.int64], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [size, 3, h, w] of digits [n, 1, h, w], drawn with replacement, and their modes [size]."""
    chosen = rng.integers(0, len(digits), (size, CHANNELS))
    return digits[chosen, 0], mode_of(labels[chosen])


def mode_of(digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n, 3] digits as [n] numbers: 100·red + 10·green + blue."""
    return digits @ np.array([DIGITS**2, DIGITS, 1])
