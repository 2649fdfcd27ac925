"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020): nearest neighbours.

A sample's ball reaches to its k-th nearest neighbour in its own set. Precision and coverage together tell collapse
from garbage: repeated good samples have precision without coverage, noise has neither. Recall alone does not: wide
noise makes balls so large that they hold every real, and scores 1.

Where all features are equal, every ball has the radius 0 and is empty, and all four figures are 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.evaluation.blocks import map_blocks

BLOCK = 1024
Features = NDArray[np.float32]
Distances = NDArray[np.float64]
Pairwise = Callable[[Features, Features], Distances]
"""[n, d] and [m, d] to [n, m] squared distances: `squared_distances`, or the same on a GPU (`gpu_distances`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prdc:
    """The four figures."""

    precision: float
    """Share of fakes in some real's ball, in [0, 1]."""
    recall: float
    """Share of reals in some fake's ball, in [0, 1]."""
    density: float
    """Mean number of real balls around a fake, over k: in [0, n / k], about 1 where fakes are real."""
    coverage: float
    """Share of reals with a fake in their ball, in [0, 1]."""


def squared_distances(a: Features, b: Features) -> Distances:
    """[len(a), len(b)] squared Euclidean distances, never negative.

    In float64: the expanded square loses half of the digits where points are near each other.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    return np.maximum(squares, 0, out=squares)


def prdc(reals: Features, fakes: Features, k: int, pairwise: Pairwise = squared_distances) -> Prdc:
    """The figures of fakes [m, d] against reals [n, d], exact, in O(n + m) memory. Needs more than k of each."""
    real_radii, fake_radii = squared_radii(reals, k, pairwise), squared_radii(fakes, k, pairwise)

    def work(rows: slice) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
        squares = pairwise(reals[rows], fakes)
        inside = squares < real_radii[rows, None]
        return np.any(inside, 1), inside.sum(0), np.any(squares < fake_radii, 1)

    parts = list(map_blocks(work, len(reals), BLOCK))
    balls = np.sum([around for _, around, _ in parts], axis=0)
    return Prdc(
        precision=float((balls > 0).mean()),
        recall=float(np.concatenate([recalled for _, _, recalled in parts]).mean()),
        density=float(balls.mean() / k),
        coverage=float(np.concatenate([covered for covered, _, _ in parts]).mean()),
    )


def squared_radii(features: Features, k: int, pairwise: Pairwise = squared_distances) -> Distances:
    """[n] squared distance of each of features [n, d] to its k-th nearest other one."""

    def work(rows: slice) -> Distances:
        squares = pairwise(features[rows], features)
        squares[np.arange(len(squares)), np.arange(rows.start, rows.start + len(squares))] = 0  # itself, exactly
        return np.partition(squares, k, axis=1)[:, k]

    return np.concatenate(list(map_blocks(work, len(features), BLOCK)))


def median_nearest_distance(features: Features, pairwise: Pairwise = squared_distances) -> float:
    """Median over features [n, d] of the distance to the nearest other one; about 0 where samples repeat."""
    return float(np.median(np.sqrt(squared_radii(features, 1, pairwise))))
