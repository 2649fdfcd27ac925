"""Measures from nearest neighbours: precision (Kynkäänniemi et al. 2019), coverage (Naeem et al. 2020), repetition.

Distances are computed in blocks of rows, so memory grows with n and not with its square.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 2048
Features = NDArray[np.float32]
Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealBalls:
    """Reals with the distance to their k-th nearest neighbour."""

    features: Features
    """[n, d]."""
    squared_radii: Distances
    """[n]."""


def squared_distances(a: Features, b: Features) -> Distances:
    """[len(a), len(b)] squared Euclidean distances, never negative.

    In float64: the expanded square loses half of the digits where points are near each other.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    return np.maximum(squares, 0, out=squares)


def real_balls(features: Features, k: int) -> RealBalls:
    """Balls around reals [n, d] that reach to their k-th nearest other real."""
    radii = [np.partition(block, k, axis=1)[:, k] for _, block in _blocks(features, features)]
    return RealBalls(features=features, squared_radii=np.concatenate(radii))


def precision_and_coverage(balls: RealBalls, fakes: Features) -> tuple[float, float]:
    """Share of fakes inside some real's ball; share of reals with a fake in their ball. Both in [0, 1]."""
    inside = np.zeros(len(fakes), dtype=bool)
    covered = np.zeros(len(balls.features), dtype=bool)
    for rows, block in _blocks(fakes, balls.features):
        hits = block <= balls.squared_radii[None]
        inside[rows] = hits.any(1)
        covered |= hits.any(0)
    return float(inside.mean()), float(covered.mean())


def median_nearest_distance(features: Features) -> float:
    """Median over features [n, d] of the distance to the nearest other one; about 0 where samples repeat."""
    nearest = [np.partition(block, 1, axis=1)[:, 1] for _, block in _blocks(features, features)]
    return float(np.median(np.sqrt(np.concatenate(nearest))))


def _blocks(a: Features, b: Features) -> Iterator[tuple[slice, Distances]]:
    for first in range(0, len(a), BLOCK):
        rows = slice(first, first + BLOCK)
        yield rows, squared_distances(a[rows], b)
