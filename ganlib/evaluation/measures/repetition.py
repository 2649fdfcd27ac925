"""Repetition: samples that are almost equal to others of the same set.

How near is near is taken from the reals: `duplicate_radius`.
"""

import numpy as np

from ganlib.evaluation.measures.neighbours import OwnDistances


def duplicate_radius(reals: OwnDistances, share: float = 0.01) -> float:
    """The least distance within which at least this share, in (0, 1], of reals has another real.

    It is 0 where that share of the reals has exact copies.

    Raises:
        ValueError: fewer than two reals.
    """
    if len(reals.nearest) < 2:
        raise ValueError(f"at least two reals are needed; there are {len(reals.nearest)}")
    return float(np.quantile(reals.nearest, share, method="inverted_cdf"))


def near_duplicate_rate(fakes: OwnDistances) -> float:
    """Share, in [0, 1], of samples that have another one within the radius; 0 for a single sample."""
    return float(fakes.repeats.mean())


def support_size(fakes: OwnDistances) -> float:
    """How many different samples there would be if all were equally likely, from the pairs within the radius.

    n samples of N equally likely ones have n (n - 1) / 2N equal pairs on average (the birthday paradox), which gives N:
    1 where all are alike, infinite where there is no pair. With few pairs it is rough: its relative standard error is
    about 1 / √pairs.

    Source: Arora & Zhang 2017, "Do GANs actually learn the distribution? An empirical study".
    """
    n = len(fakes.repeats)
    return n * (n - 1) / (2 * fakes.pairs) if fakes.pairs else np.inf
