"""Repetition: samples that are almost equal to others of the same set.

How near is near is taken from the reals: `duplicate_radius`. Memory grows with n and not with its square.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ganlib.evaluation.measures.neighbours import Pairwise, squared_distances

BLOCK = 1024
ROUNDING = 1e-12  # of the squared norms; float64 leaves less than this between equal samples of 10,000 features

Features = NDArray[np.float32]
Distances = NDArray[np.float64]


def duplicate_radius(reals: Features, share: float = 0.01, pairwise: Pairwise = squared_distances) -> float:
    """The least distance within which at least this share, in (0, 1], of reals [n, d] has another real.

    It is 0 where that share of the reals has exact copies.

    Raises:
        ValueError: fewer than two reals.
    """
    if len(reals) < 2:
        raise ValueError(f"at least two reals are needed; there are {len(reals)}")
    nearest = np.full(len(reals), np.inf)
    for first, block in _pairs(reals, pairwise):
        rows = slice(first, first + len(block))
        nearest[rows] = np.minimum(nearest[rows], block.min(1))
        nearest[first:] = np.minimum(nearest[first:], block.min(0))
    return float(np.quantile(nearest, share, method="inverted_cdf"))


def near_duplicate_rate(features: Features, radius: float, pairwise: Pairwise = squared_distances) -> float:
    """Share, in [0, 1], of features [n, d] that have another one within the radius; 0 for a single sample."""
    repeats = np.zeros(len(features), dtype=bool)
    for first, block in _pairs(features, pairwise):
        near = block <= radius
        repeats[first : first + len(block)] |= near.any(1)
        repeats[first:] |= near.any(0)
    return float(repeats.mean())


def support_size(features: Features, radius: float, pairwise: Pairwise = squared_distances) -> float:
    """How many different samples there would be if all were equally likely, from the pairs within the radius.

    n samples of N equally likely ones have n (n - 1) / 2N equal pairs on average (the birthday paradox), which gives N:
    1 where all are alike, infinite where there is no pair. With few pairs it is rough: its relative standard error is
    about 1 / √pairs.

    Source: Arora & Zhang 2017, "Do GANs actually learn the distribution? An empirical study".
    """
    n = len(features)
    pairs = sum(int((block <= radius).sum()) for _, block in _pairs(features, pairwise))
    return n * (n - 1) / (2 * pairs) if pairs else np.inf


def _pairs(features: Features, pairwise: Pairwise) -> Iterator[tuple[int, Distances]]:
    """Blocks (first, [b, n - first]) of distances from samples first, first + 1, … to the same ones and all later.

    Every pair comes once: the other half and the diagonal are infinite.
    """
    squares = (features.astype(np.float64) ** 2).sum(1)
    for first in range(0, len(features), BLOCK):
        block = pairwise(features[first : first + BLOCK], features[first:])
        block[block < ROUNDING * (squares[first : first + len(block), None] + squares[None, first:])] = 0
        block[np.tril_indices(len(block))] = np.inf
        yield first, np.sqrt(block, out=block)
