"""Distances between two sets of features: Fréchet (Heusel et al. 2017) and kernel (Bińkowski et al. 2018).

They are called FID and KID only on the features of inception-v3; elsewhere their values mean nothing to others.
Both run on one thread: threads add up in an order of their own, which would change the last bits.
"""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

SUBSET_SIZE = 1000  # of the kernel distance, as in its paper; its time grows with the square
NUM_SUBSETS = 10  # at 10,000 samples, each is used once on average

Features = NDArray[np.float32]
Floats = NDArray[np.float64]


def frechet_distance(reals: Features, fakes: Features) -> float:
    """Squared Fréchet distance, at least 0, between Gaussians fitted to reals [n, d] and fakes [m, d].

    Biased upwards, the more the fewer samples there are: compare it only at equal n and m. With n <= d or m <= d a
    covariance is singular; nothing is added to it, and the distance is still finite and exact. Constant
    features are Gaussians of no width.

    Raises:
        ValueError: fewer than two reals or fakes, which have no covariance.

    Source: Heusel et al. 2017, "GANs trained by a two time-scale update rule".
    """
    _check_two_of_each(reals, fakes)
    with threadpool_limits(limits=1):
        mean_real, root_real = _mean_and_root(reals)
        mean_fake, root_fake = _mean_and_root(fakes)
        # tr (AᵀA BᵀB)^½ is the sum of the singular values of A Bᵀ: no root of a covariance, no rounding below zero.
        shared = np.linalg.svd(root_real @ root_fake.T, compute_uv=False).sum()
        distance = ((mean_real - mean_fake) ** 2).sum() + (root_real**2).sum() + (root_fake**2).sum() - 2 * shared
    return max(0.0, float(distance))


def kernel_distance(reals: Features, fakes: Features, rng: np.random.Generator) -> float:
    """Squared maximum mean discrepancy, unbiased, between reals [n, d] and fakes [m, d] under (x·y/d + 1)³.

    Its mean is 0 where both are drawn alike, so that it may be slightly negative. Of more than 1,000 samples on a
    side, it is the mean over 10 random subsets of 1,000; else `rng` is left alone.

    Raises:
        ValueError: fewer than two reals or fakes.

    Source: Bińkowski et al. 2018, "Demystifying MMD GANs".
    """
    _check_two_of_each(reals, fakes)
    x, y = reals.astype(np.float64), fakes.astype(np.float64)
    repeats = NUM_SUBSETS if max(len(x), len(y)) > SUBSET_SIZE else 1
    with threadpool_limits(limits=1):
        return float(np.mean([_squared_mmd(_subset(x, rng), _subset(y, rng)) for _ in range(repeats)]))


def _check_two_of_each(reals: Features, fakes: Features) -> None:
    if min(len(reals), len(fakes)) < 2:
        raise ValueError(f"at least two reals and two fakes are needed; there are {len(reals)} and {len(fakes)}")


def _mean_and_root(features: Features) -> tuple[Floats, Floats]:
    """Mean [d], and R [min(n, d), d] with RᵀR the covariance."""
    x = features.astype(np.float64)
    mean = x.mean(0)
    centred = (x - mean) / np.sqrt(len(x) - 1)
    if len(x) <= x.shape[1]:
        return mean, centred
    root: Floats = np.linalg.qr(centred, mode="r")  # pyright: ignore[reportAssignmentType]  (its stub knows no mode "r")
    return mean, root


def _subset(x: Floats, rng: np.random.Generator) -> Floats:
    return x if len(x) <= SUBSET_SIZE else x[rng.choice(len(x), SUBSET_SIZE, replace=False)]


def _squared_mmd(x: Floats, y: Floats) -> float:
    return _mean_of_others(_kernel(x, x)) + _mean_of_others(_kernel(y, y)) - 2 * float(_kernel(x, y).mean())


def _kernel(x: Floats, y: Floats) -> Floats:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _mean_of_others(kernel: Floats) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))
