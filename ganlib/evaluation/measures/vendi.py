"""Vendi score: the effective number of different samples (Friedman & Dieng 2023)."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits


def vendi_score(features: NDArray[np.float32]) -> float:
    """Effective number of different samples in features [n, d], in [1, n]: 1 where all point the same way.

    The exponential of the entropy of the eigenvalues of K / n, where K holds the cosines between samples. It
    looks at directions alone, so a sample and its double are the same, and it is at most d + 1. Vectors of zeros have
    no direction: they count as equal to each other and as different from all others. It grows with n:
    compare it only at equal n.

    Raises:
        ValueError: there is no sample.

    Source: Friedman & Dieng 2023, "The Vendi Score: a diversity evaluation metric for machine learning".
    """
    n = len(features)
    if not n:
        raise ValueError("at least one sample is needed; there is none")
    x = features.astype(np.float64)
    lengths = np.linalg.norm(x, axis=1)
    directions = x[lengths > 0] / lengths[lengths > 0, None]
    # One thread: threads add up in an order of their own, which would change the last bits.
    with threadpool_limits(limits=1):
        small = directions @ directions.T if len(directions) < x.shape[1] else directions.T @ directions
        eigenvalues = np.linalg.eigvalsh(small)  # both products have the same ones above 0
    shares = np.append(eigenvalues, n - len(directions)) / n
    shares = shares[shares > 0]
    return float(np.clip(np.exp(-(shares * np.log(shares)).sum()), 1, n))
