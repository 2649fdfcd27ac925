"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020): nearest neighbours.

The clipped ones (Salvy et al. 2025, see `clipped`) come from the same distances.

A sample's ball reaches to its k-th nearest neighbour in its own set. Precision and coverage together tell collapse
from garbage: repeated good samples have precision without coverage, noise has neither. Recall alone does not: wide
noise makes balls so large that they hold every real, and scores 1.

Where all features are equal, every ball has the radius 0 and is empty, and all figures are 0.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.evaluation.blocks import map_blocks
from ganlib.evaluation.measures.clipped import (
    Counts,
    ball_share,
    clipped_coverage,
    clipped_density,
    clipped_radii,
    count_balls,
)

BLOCK = 1024
ROUNDING = 1e-12  # of the squared norms; float64 leaves less than this between equal samples of 10,000 features
Features = NDArray[np.float32]
Distances = NDArray[np.float64]
Pairwise = Callable[[Features, Features], Distances]
"""[n, d] and [m, d] to [n, m] squared distances: `squared_distances`, or the same on a GPU (`gpu_distances`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prdc:
    """The figures."""

    precision: float
    """Share of fakes in some real's ball, in [0, 1]."""
    recall: float
    """Share of reals in some fake's ball, in [0, 1]."""
    density: float
    """Mean number of real balls around a fake, over k: in [0, n / k], about 1 where fakes are real."""
    coverage: float
    """Share of reals with a fake in their ball, in [0, 1]."""
    clipped_density: float
    """Share of fakes that are where reals are, in [0, 1]."""
    clipped_coverage: float
    """Share of good fakes that would cover the reals as well, in [0, 1]."""


def squared_distances(a: Features, b: Features) -> Distances:
    """[len(a), len(b)] squared Euclidean distances, never negative.

    In float64: the expanded square loses half of the digits where points are near each other.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    return np.maximum(squares, 0, out=squares)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDistances:
    """What the distances among the n samples of one set are asked for, each of them computed once."""

    squared_radii: dict[int, Distances]
    """[n] for each k: the squared distance of a sample to its k-th nearest other one."""
    nearest: Distances
    """[n] distance to the nearest other one, 0 to an equal one; infinite for a single sample."""
    repeats: NDArray[np.bool_]
    """[n] whether another one is within the radius that was asked for."""
    pairs: int
    """How many pairs are within it."""


def own_distances(
    features: Features, ks: Collection[int] = (), radius: float = 0.0, pairwise: Pairwise = squared_distances
) -> OwnDistances:
    """The distances among features [n, d], in O(n) memory. Needs more than k samples for each of the `ks`."""
    n, wanted = len(features), sorted(ks)
    lengths = (features.astype(np.float64) ** 2).sum(1)

    def work(rows: slice) -> tuple[Distances, slice, Distances, Distances, NDArray[np.bool_], NDArray[np.bool_], int]:
        squares = pairwise(features[rows], features)
        later = slice(rows.start, n)
        pairs = squares[:, later].copy()
        pairs[pairs < ROUNDING * (lengths[rows, None] + lengths[None, later])] = 0
        pairs[np.tril_indices(len(pairs))] = np.inf  # every pair once
        np.sqrt(pairs, out=pairs)
        near = pairs <= radius
        squares[np.arange(len(squares)), np.arange(rows.start, rows.stop)] = 0  # itself, exactly
        radii = np.partition(squares, wanted, axis=1)[:, wanted] if wanted else squares[:, :0]
        return radii, later, pairs.min(1), pairs.min(0), np.any(near, 1), np.any(near, 0), int(near.sum())

    radii: list[Distances] = []
    nearest, repeats, count = np.full(n, np.inf), np.zeros(n, bool), 0
    for block, later, by_row, by_column, row_near, column_near, number in map_blocks(work, n, BLOCK):
        rows = slice(later.start, later.start + len(block))
        radii.append(block)
        nearest[rows] = np.minimum(nearest[rows], by_row)
        nearest[later] = np.minimum(nearest[later], by_column)
        repeats[rows] |= row_near
        repeats[later] |= column_near
        count += number
    columns = np.concatenate(radii).T if radii else np.empty((len(wanted), 0))
    found = dict(zip(wanted, columns, strict=True))
    return OwnDistances(squared_radii=found, nearest=nearest, repeats=repeats, pairs=count)


def prdc(
    reals: Features,
    fakes: Features,
    k: int,
    pairwise: Pairwise = squared_distances,
    *,
    own: tuple[OwnDistances, OwnDistances] | None = None,
    real_share: float | None = None,
) -> Prdc:
    """The figures of fakes [m, d] against reals [n, d], exact, in O(n + m) memory. Needs more than k of each.

    `own`: the distances among each set, with the radii of k, and `real_share`: `real_ball_share` of the reals, where
    they are known.
    """
    real_radii, fake_radii = (
        found.squared_radii[k]
        for found in own or [own_distances(side, [k], pairwise=pairwise) for side in (reals, fakes)]
    )

    small_radii = clipped_radii(real_radii)
    if real_share is None:
        real_share = real_ball_share(reals, real_radii, k, pairwise)

    def work(rows: slice) -> tuple[Counts, Counts, Counts, NDArray[np.bool_]]:
        squares = pairwise(reals[rows], fakes)
        inside = squares < real_radii[rows, None]
        near = squares < small_radii[rows, None]
        return inside.sum(1), inside.sum(0), near.sum(0), np.any(squares < fake_radii, 1)

    held, around, closely, recalled = zip(*map_blocks(work, len(reals), BLOCK), strict=True)
    balls, inside = np.sum(around, axis=0), np.concatenate(held)
    return Prdc(
        precision=float((balls > 0).mean()),
        recall=float(np.concatenate(recalled).mean()),
        density=float(balls.mean() / k),
        coverage=float((inside > 0).mean()),
        clipped_density=clipped_density(np.sum(closely, axis=0), real_share, k),
        clipped_coverage=clipped_coverage(inside, k, len(fakes)),
    )


def real_ball_share(reals: Features, squared_radii: Distances, k: int, pairwise: Pairwise = squared_distances) -> float:
    """What `clipped_density` is compared with: the balls of other reals around each of reals [n, d], of at most k."""

    def squares_of(rows: slice) -> Distances:
        return pairwise(reals[rows], reals)

    return ball_share(count_balls(squares_of, clipped_radii(squared_radii)), k)


def median_nearest_distance(fakes: OwnDistances) -> float:
    """Median over the samples of the distance to the nearest other one; about 0 where samples repeat.

    Needs the radii of k = 1.
    """
    return float(np.median(np.sqrt(fakes.squared_radii[1])))
