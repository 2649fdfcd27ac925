"""Is a series of evaluations still rising, or has it come to rest? And how long would it take to a target?

Mann 1945 ("Nonparametric tests against trend") and Kendall 1975 ("Rank correlation methods"): S counts the pairs whose
later value is higher, less those whose later value is lower. Sen 1968 ("Estimates of the regression coefficient based
on Kendall's tau"): the slope is the median of all pairs' slopes. Neighbouring evaluations resemble each other, which
makes S vary more than that of independent ones: from EXACT_BELOW values on, its variance is multiplied by the factor of
Hamed & Rao 1998 ("A modified Mann-Kendall trend test for autocorrelated data"). They take the significant
autocorrelations, which at 20 values hardly ever are significant; here they are those of an AR(1). Below, p-values are
exact for independent values. What serial correlation does to both is measured: `make bench-oscillation`.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST = 5
"""Values below which nothing is said: with 4, even the span of all pairs' slopes misses the slope 1 time in 12."""
EXACT_BELOW = 10
"""Values below which p-values are those of all orders, which are few enough to count."""
CONFIDENCE = 0.95
LARGEST_CORRELATION = 0.9
"""Of neighbours: what a few values say about more is nothing."""
LAST_SHARE = 3
"""A projection looks at the last one over this of the evaluations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A series' slope and whether it is more than chance."""

    slope: float
    """Per evaluation: Sen's."""
    low: float
    """Lower end of the slope's 95 % interval."""
    high: float
    p_rising: float
    """One-sided: the probability that values without a trend rise as clearly."""
    p_falling: float
    n: int

    @property
    def change(self) -> float:
        """From the first evaluation to the last, n - 1 slopes away."""
        return self.slope * (self.n - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """Epochs until a target is reached on a straight line, from the last one on; infinite where it never is."""

    soonest: float
    expected: float
    latest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The line through the last evaluations. Learning slows down: a line promises too much rather than too little."""

    level: float
    """On the line, at the last epoch."""
    slope: float
    """Per epoch: Sen's."""
    low: float
    """Lower end of the slope's 95 % interval."""
    high: float
    n: int
    """Evaluations that the line goes through."""

    def projected_epochs(self, target: float) -> Remaining:
        """How many epochs after the last one the line reaches the target; 0 where it is there."""
        expected = self._epochs(target, self.slope)
        ends = sorted(self._epochs(target, slope) for slope in (self.low, self.high))
        return Remaining(soonest=min(ends[0], expected), expected=expected, latest=max(ends[1], expected))

    def _epochs(self, target: float, slope: float) -> float:
        gap = target - self.level
        if gap == 0:
            return 0.0
        return gap / slope if gap * slope > 0 else math.inf


def trend(values: NDArray[np.floating[Any]]) -> Trend | None:
    """The trend of evaluations at equal distances.

    Args:
        values: [n], in order.

    Returns:
        None where there are fewer than FEWEST or some are not finite.
    """
    series = np.asarray(values, np.float64)
    if len(series) < FEWEST or not np.isfinite(series).all():
        return None
    steps = np.arange(len(series), dtype=np.float64)
    slope, low, high = sen_slope(steps, series)
    score = _score(series)
    if len(series) < EXACT_BELOW:
        rising, falling = _exact_tail(series, score), _exact_tail(series, -score)
    else:
        spread = _spread(steps, series, slope)
        rising, falling = _normal_tail(score, spread), _normal_tail(-score, spread)
    return Trend(slope=slope, low=low, high=high, p_rising=rising, p_falling=falling, n=len(series))


def projection(epochs: NDArray[Any], values: NDArray[np.floating[Any]]) -> Projection | None:
    """The line through the last third of the evaluations, or through the last FEWEST where that is more.

    Args:
        epochs: [n], rising.
        values: [n].

    Returns:
        None where there are fewer than FEWEST evaluations or some of those looked at are not finite.
    """
    n = max(FEWEST, math.ceil(len(values) / LAST_SHARE))
    at, series = np.asarray(epochs, np.float64)[-n:], np.asarray(values, np.float64)[-n:]
    if len(series) < FEWEST or not np.isfinite(series).all():
        return None
    slope, low, high = sen_slope(at, series)
    level = float(np.median(series + slope * (at[-1] - at)))
    return Projection(level=level, slope=slope, low=low, high=high, n=n)


def sen_slope(at: Array, values: Array) -> tuple[float, float, float]:
    """Median of all pairs' slopes, and both ends of its interval (Sen 1968), widened for serial correlation.

    Args:
        at: [n], rising.
        values: [n].
    """
    first, second = np.triu_indices(len(values), 1)
    slopes = np.sort((values[second] - values[first]) / (at[second] - at[first]))
    slope = float(np.median(slopes))
    margin = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * _spread(at, values, slope)
    low = max(round((len(slopes) - margin) / 2) - 1, 0)
    high = min(round((len(slopes) + margin) / 2), len(slopes) - 1)
    return slope, float(slopes[low]), float(slopes[high])


def _score(values: Array) -> int:
    """S: rising pairs less falling ones."""
    first, second = np.triu_indices(len(values), 1)
    return int(np.sign(values[second] - values[first]).sum())


def _ties(values: Array) -> list[int]:
    return np.unique(values, return_counts=True)[1].tolist()


def _variance(values: Array) -> float:
    """Of S, for independent values with these ties (Kendall 1975)."""
    n = len(values)
    return (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in _ties(values))) / 18


def _exact_tail(values: Array, score: int) -> float:
    """P(S >= score) over all orders of the values.

    An order of values with ties has as many falling pairs as a q-multinomial coefficient says: n!_q / Π t!_q.
    """
    counts = _q_factorial(len(values))
    for t in _ties(values):
        counts, rest = np.polydiv(counts, _q_factorial(t))
        assert not np.any(np.round(rest))
    falling = (len(counts) - 1 - score) // 2  # all untied pairs rise or fall
    return float(min(1.0, counts[: falling + 1].sum() / counts.sum()))


def _q_factorial(n: int) -> Array:
    """Coefficients of Π (1 + q + … + q^(i-1)): orders of n values by their falling pairs."""
    product = np.ones(1)
    for i in range(2, n + 1):
        product = np.convolve(product, np.ones(i))
    return product


def _normal_tail(score: int, spread: float) -> float:
    """P(S >= score) by the normal distribution, corrected for continuity."""
    return NormalDist().cdf((1 - score) / spread) if spread > 0 else 1.0


def _spread(at: Array, values: Array, slope: float) -> float:
    """Standard deviation of S, for values correlated like what this slope leaves of them."""
    return math.sqrt(_variance(values) * _inflation(at, values, slope))


def _inflation(at: Array, values: Array, slope: float) -> float:
    """By how much serial correlation multiplies the variance of S (Hamed & Rao 1998, with an AR(1)): 1 or more.

    The first autocorrelation is that of the ranks less the trend, mended for its bias of -(2 + 4 ρ) / n.
    """
    n = len(values)
    if n < EXACT_BELOW:
        return 1.0
    residual = values - slope * at
    ranks = _ranks(residual)
    ranks = ranks - ranks.mean()
    power = float(ranks @ ranks)
    if power == 0:
        return 1.0
    first = (n * float(ranks[1:] @ ranks[:-1]) / power + 2) / (n - 4)
    lags = np.arange(1, n - 2)
    pairs = (n - lags) * (n - lags - 1) * (n - lags - 2)
    total = float(pairs @ np.clip(first, 0.0, LARGEST_CORRELATION) ** lags)
    return 1 + 2 * total / (n * (n - 1) * (n - 2))


def _ranks(values: Array) -> Array:
    """Ranks from 1; equal values share their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
