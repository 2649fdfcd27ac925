"""Clipped density and clipped coverage (Salvy et al. 2025): shares of good samples, by nearest neighbours.

A sample that lies in many balls, and a real whose ball is large or holds many fakes, count no more than others do. Both
figures are calibrated: they fall in a straight line with the share of the fakes that are bad, from 1 to 0.

Source: "Enhanced generative model evaluation with clipped density and coverage".
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from ganlib.evaluation.blocks import map_blocks

BLOCK = 1024
ROUNDING = 1e-12
Distances = NDArray[np.float64]
Counts = NDArray[np.int64]
SquaresOf = Callable[[slice], Distances]
"""Rows of the reals to [rows, n] squared distances to all of them."""


def clipped_radii(squared: Distances) -> Distances:
    """[n] squared radii of the reals' balls, none of them larger than the median radius: outliers have large ones.

    Two reals that are each other's k-th neighbour may be the median: rounding must not put them out of their balls.
    """
    return np.minimum(squared, np.median(np.sqrt(squared)) ** 2) * (1 + ROUNDING)


def clipped_density(balls: Counts, of_reals: float, k: int) -> float:
    """Share, in [0, 1], of fakes that are where reals are.

    `balls`: [m] reals' balls, of clipped radii, around each fake. `of_reals`: what the same count gives for the reals
    themselves, `ball_share`; where that is 0 no ball holds anything, and nor does a fake lie in one.
    """
    return min(ball_share(balls, k) / of_reals, 1.0) if of_reals > 0 else 0.0


def ball_share(balls: Counts, k: int) -> float:
    """Mean, in [0, 1], over samples of the balls around each, [n], of which no more than k count."""
    return float(np.minimum(balls, k).mean() / k)


def clipped_coverage(inside: Counts, k: int, fakes: int) -> float:
    """Share, in [0, 1], of the fakes that would be needed, all of them good, to cover the reals as well as these do.

    `inside`: [n] fakes in each real's ball; `fakes`: how many there are in all.
    """
    seen = float(np.minimum(inside, k).mean() / k)
    expected = expected_coverage(k, len(inside), fakes)
    return float(np.searchsorted(expected, seen - ROUNDING) / len(expected))  # few fakes give equal numbers


@lru_cache(maxsize=8)
def expected_coverage(k: int, reals: int, fakes: int) -> Distances:
    """[fakes + 1] what share of k fakes a real's ball holds on average, of so many good ones: 0, 1, …, `fakes`.

    The ball of a real, to its k-th neighbour of the others, holds a share of all good samples that is Beta(k, n - k)
    distributed, so the number in it of m is beta-binomial; of the k that count, those below k are missing.
    """
    m = np.arange(fakes + 1, dtype=np.float64)[:, None]
    held = np.arange(k, dtype=np.float64)[None]
    with np.errstate(invalid="ignore"):
        log = (
            gammaln(m + 1)
            - gammaln(held + 1)
            - gammaln(m - held + 1)
            + betaln(k + held, reals - k + m - held)
            - betaln(k, reals - k)
        )
    chances = np.where(held <= m, np.exp(log), 0.0)
    expected = 1 - (chances * (k - held)).sum(1) / k
    expected[0] = 0.0
    return np.maximum.accumulate(expected)


def count_balls(squares_of: SquaresOf, radii: Distances) -> Counts:
    """[n] in how many balls of the other reals each real lies, of squared radii [n]; a ball of radius 0 is empty."""

    def work(rows: slice) -> Counts:
        squares = squares_of(rows)
        within = (squares <= radii[rows, None]) & (radii[rows, None] > 0)
        within[np.arange(len(within)), np.arange(rows.start, rows.stop)] = False
        return within.sum(0)

    return np.sum(list(map_blocks(work, len(radii), BLOCK)), axis=0)
