"""Memorisation (Meehan et al. 2020): are fakes nearer to training samples than unseen reals are?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.evaluation.measures.neighbours import Pairwise, squared_distances

QUERY_BLOCK, TRAIN_BLOCK = 1024, 4096  # 60,000 images of 784 pixels and 1,000 fakes: 2 s on one core
COPY_QUANTILE = 0.01  # nearer than this share of unseen reals: a copy
Z_95 = 1.6448536269514722  # 95 % quantile of N(0, 1)

Features = NDArray[np.float32]
Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memorisation:
    """Fakes against unseen reals, by their distance to the training data."""

    score: float
    """Chance, in [0, 1], that a fake is nearer than an unseen real: .5 for real data, 1 for a memory of it."""
    copies: float
    """Share, in [0, 1], of fakes nearer than 1 % of unseen reals are: about .01 for real data."""


def nearest_distances(queries: Features, train: Features, pairwise: Pairwise = squared_distances) -> Distances:
    """[m] distance of each query [m, d] to the nearest of the training samples [n, d]; exactly 0 for a copy."""
    return _nearest(queries, train, np.full(len(queries), -1), pairwise)


def leave_one_out_distances(
    train: Features, indices: NDArray[np.int64], pairwise: Pairwise = squared_distances
) -> Distances:
    """[len(indices)] distance of these training samples to the nearest other one of [n, d]; infinite for n = 1.

    It stands in for the distance of unseen reals where there is no held-out data: it is distributed alike, only
    that it looks at n - 1 training samples instead of n. Copies within the training data give 0.
    """
    return _nearest(train[indices], train, indices, pairwise)


def memorisation(fake_distances: Distances, unseen_distances: Distances) -> Memorisation:
    """Compares distances [n] of fakes and [m] of unseen reals to the training data; ties count half.

    The score is Mann and Whitney's U over n m. Poor fakes are far from everything and score below .5. There are no
    copies where 1 % of the unseen reals are copies themselves, at distance 0.

    Raises:
        ValueError: a side is empty.

    Source: Meehan et al. 2020, "A non-parametric test to detect data-copying in generative models".
    """
    if not len(fake_distances) or not len(unseen_distances):
        raise ValueError(f"no distances to compare: {len(fake_distances)} fakes, {len(unseen_distances)} unseen reals")
    unseen = np.sort(unseen_distances)
    nearer_or_equal = np.searchsorted(unseen, fake_distances, side="right")
    nearer = np.searchsorted(unseen, fake_distances, side="left")
    score = 1 - (nearer + nearer_or_equal).mean() / (2 * len(unseen))
    copies = fake_distances < np.quantile(unseen, COPY_QUANTILE)
    return Memorisation(score=float(score), copies=float(copies.mean()))


def memorisation_null(n: int, m: int) -> tuple[float, float, float]:
    """Mean, 5 % and 95 % quantile of the score of n fakes that are real data, against m unseen reals.

    The variance (n + m + 1) / 12nm is exact where no distances are equal; ties make it smaller. The quantiles are those
    of a normal distribution, right to .01 from about 10 on either side.

    Source: Mann & Whitney 1947, "On a test of whether one of two random variables is stochastically larger".
    """
    reach = Z_95 * np.sqrt((n + m + 1) / (12 * n * m))
    return 0.5, float(max(0.0, 0.5 - reach)), float(min(1.0, 0.5 + reach))


def copies_null(n: int, m: int) -> tuple[float, float, float]:
    """Mean, 5 % and 95 % quantile of the copies among n fakes that are real data, against m unseen reals.

    As many of n further draws as lie below the r-th of m are beta-binomial(n, r, m + 1 - r); the quantiles are those of
    2,000 draws from it, always the same.
    """
    rank = 1 + COPY_QUANTILE * (m - 1)
    rng = np.random.default_rng(0)
    shares = rng.binomial(n, rng.beta(rank, m + 1 - rank, 2000)) / n
    low, high = np.quantile(shares, [0.05, 0.95])
    return rank / (m + 1), float(low), float(high)


def _nearest(queries: Features, train: Features, own: NDArray[np.int64], pairwise: Pairwise) -> Distances:
    """Distances [m] to the nearest training sample other than one's own (-1: none)."""
    nearest = np.full(len(queries), np.inf)
    for first in range(0, len(queries), QUERY_BLOCK):
        rows = slice(first, first + QUERY_BLOCK)
        for start in range(0, len(train), TRAIN_BLOCK):
            block = _nearest_of_block(queries[rows], train[start : start + TRAIN_BLOCK], own[rows] - start, pairwise)
            nearest[rows] = np.minimum(nearest[rows], block)
    return np.sqrt(nearest)


def _nearest_of_block(queries: Features, train: Features, own: NDArray[np.int64], pairwise: Pairwise) -> Distances:
    squares = pairwise(queries, train)
    (excluded,) = np.nonzero((own >= 0) & (own < len(train)))
    squares[excluded, own[excluded]] = np.inf
    winners = squares.argmin(1)
    # The expanded square leaves a residue where points are equal: the winner's distance is taken from the difference.
    exact = ((queries.astype(np.float64) - train[winners]) ** 2).sum(1)
    return np.where(np.isinf(squares.min(1)), np.inf, exact)
