"""NDB: the number of statistically different bins (Richardson & Weiss 2018, "On GANs and GMMs").

K-means on the training data gives K bins. Fakes go to the nearest centre. Per bin, a pooled two-proportion z-test
asks whether reals and fakes have the same share of it. NDB / K is alpha for a perfect generator.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc
from scipy.stats import beta
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from ganlib.evaluate.neighbours import squared_distances
from ganlib.report import Bin, Null
from ganlib.spec import SAMPLES_PER_BIN

ALPHA = 0.05  # the paper's significance level: a bin is different where p < ALPHA
MAX_BINS = 100  # the paper's K for MNIST-sized data
NULL_DRAWS = 500  # the standard error of a 5 % quantile's level is then 1 %
MISSING_SHARE = 0.25  # a bin is missing where fakes surely have less than this share of its training mass
MISSING_CONFIDENCE = 0.95
BLOCK = 4096

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class TooFewSamples(ValueError):
    """The sample counts cannot support so many bins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """K-means bins of the training data, by falling share."""

    centres: NDArray[np.float32]
    """[K, d]."""
    counts: Counts
    """[K] training samples in each."""


def choose_num_bins(n_real: int, n_fake: int, fixed: int | None = None) -> int:
    """K: `fixed` where given, else as many as the smaller sample supports at 25 a bin, from 2 to 100.

    Raises:
        TooFewSamples: with the smallest count that would support it.
    """
    supported = min(n_real, n_fake) // SAMPLES_PER_BIN
    wanted = fixed or max(2, min(MAX_BINS, supported))
    if wanted > supported:
        needed = wanted * SAMPLES_PER_BIN
        raise TooFewSamples(
            f"{wanted} bins need at least {needed} reals and as many fakes; there are {n_real} and {n_fake}"
        )
    return wanted


def fit_bins(features: NDArray[np.float32], num_bins: int, rng: np.random.Generator) -> Bins:
    """K-means (Lloyd, k-means++ start) on training features [n, d].

    One thread: scikit-learn adds up thread results in the order they come, which would change the last bits.
    """
    kmeans = KMeans(
        num_bins,
        n_init=1,  # pyright: ignore[reportArgumentType]  (its stub knows the default "auto" alone)
        max_iter=100,
        random_state=int(rng.integers(2**31)),
    )
    with threadpool_limits(limits=1):
        kmeans.fit(features)
    centres: NDArray[np.float32] = np.asarray(kmeans.cluster_centers_, dtype=np.float32)
    counts = bin_counts(centres, features)
    order = np.argsort(-counts, kind="stable")
    return Bins(centres=centres[order], counts=counts[order])


def bin_counts(centres: NDArray[np.float32], features: NDArray[np.float32]) -> Counts:
    """[K] how many of features [n, d] are nearest to each centre; ties go to the first."""
    nearest = [squared_distances(features[i : i + BLOCK], centres).argmin(1) for i in range(0, len(features), BLOCK)]
    return np.bincount(np.concatenate(nearest), minlength=len(centres)).astype(np.int64)


def compare_bins(real: Counts, fake: Counts) -> tuple[Bin, ...]:
    """The test of every bin, from counts [K] of reals and fakes."""
    n_real, n_fake = real.sum(), fake.sum()
    p_real, p_fake = real / n_real, fake / n_fake
    z = two_proportion_z(real, fake)
    p = erfc(np.abs(z) / np.sqrt(2))
    columns = (p_real, p_fake, _standard_error(p_real, n_real), _standard_error(p_fake, n_fake), z, p)
    return tuple(
        Bin(real=a, fake=b, real_se=c, fake_se=d, z=e, p=f, different=bool(f < ALPHA))
        for a, b, c, d, e, f in zip(*(column.tolist() for column in columns), strict=True)
    )


def two_proportion_z(real: NDArray[np.int64], fake: NDArray[np.int64]) -> Floats:
    """Pooled two-proportion z of counts [..., K]; 0 where a bin is empty, or full, on both sides."""
    n_real, n_fake = real.sum(-1, keepdims=True), fake.sum(-1, keepdims=True)
    pooled = (real + fake) / (n_real + n_fake)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_real + 1 / n_fake))
    difference = fake / n_fake - real / n_real
    return np.divide(difference, error, out=np.zeros_like(difference), where=error > 0)


def ndb_over_k(real: NDArray[np.int64], fake: NDArray[np.int64]) -> Floats:
    """Share of bins that differ, in [0, 1], of counts [..., K]."""
    return (erfc(np.abs(two_proportion_z(real, fake)) / np.sqrt(2)) < ALPHA).mean(-1)


def jensen_shannon(real: NDArray[np.int64], fake: NDArray[np.int64]) -> Floats:
    """Jensen-Shannon divergence in nats, in [0, log 2], of counts [..., K]. Only comparable at equal counts."""
    p, q = real / real.sum(-1, keepdims=True), fake / fake.sum(-1, keepdims=True)
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


def missing_mass(real: NDArray[np.int64], fake: NDArray[np.int64]) -> Floats:
    """Training mass, in [0, 1], of the bins that fakes surely leave out, of counts [..., K].

    A bin is missing where the upper confidence bound (Clopper & Pearson 1934) of its share of the fakes is below a
    quarter of its share of the training data.
    """
    n_fake = fake.sum(-1, keepdims=True)
    upper = np.where(fake < n_fake, beta.ppf(MISSING_CONFIDENCE, fake + 1, np.maximum(n_fake - fake, 1)), 1.0)
    share = real / real.sum(-1, keepdims=True)
    return (share * (upper < MISSING_SHARE * share)).sum(-1)


MEASURES = {"ndb_over_k": ndb_over_k, "js": jensen_shannon, "missing_mass": missing_mass}


def null_of_bins(real: Counts, fake: Counts, rng: np.random.Generator) -> dict[str, Null]:
    """Each measure where both sides are drawn from the pooled proportions, at the same counts.

    No data is lost to it: resampling a small held-out pool instead would double the variance.
    """
    pooled = (real + fake) / (real.sum() + fake.sum())
    reals = rng.multinomial(real.sum(), pooled, size=NULL_DRAWS)
    fakes = rng.multinomial(fake.sum(), pooled, size=NULL_DRAWS)
    return {name: null_of(measure(reals, fakes)) for name, measure in MEASURES.items()}


def null_of(draws: Floats) -> Null:
    """Mean and quantiles of a measure's draws [n] under the null."""
    low, high = np.quantile(draws, [0.05, 0.95])
    return Null(mean=float(draws.mean()), q05=float(low), q95=float(high))


def _standard_error(p: Floats, n: np.int64) -> Floats:
    return np.sqrt(p * (1 - p) / n)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log(ratio)).sum(-1)
