"""NDB: the number of statistically different bins (Richardson & Weiss 2018, "On GANs and GMMs").

K-means on the training data gives K bins. Fakes go to the nearest centre. Per bin, a pooled two-proportion z-test
asks whether reals and fakes have the same share of it. NDB / K is alpha for a perfect generator.

Where this differs from the authors' code, on the same centres: a bin that is empty, or full, on both sides is not
different (there its z is 0 / 0, and a warning); whitened or chosen features are kept with the bins, not their
indices alone; features are chosen only where the caller says so, not whenever there are more than 1,000; bins are
cached as arrays named by what went in, not as a pickle named by K.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betaincinv, chdtrc, erfc

from ganlib.evaluation.blocks import map_blocks
from ganlib.evaluation.kmeans import fit_clusters
from ganlib.evaluation.measures.neighbours import squared_distances
from ganlib.records import ALPHA, Bin, Null
from ganlib.spec.evaluation import SAMPLES_PER_BIN

MAX_BINS = 100  # the paper's K for MNIST-sized data
NULL_DRAWS = 500  # the standard error of a 5 % quantile's level is then 1 %
MISSING_SHARE = 0.25  # a bin is missing where fakes surely have less than this share of its training mass
MISSING_CONFIDENCE = 0.95
WHITENING_EPS = 1e-6  # as the authors' code: keeps a constant feature constant
BLOCK = 4096

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Features = NDArray[np.float32]


class TooFewSamples(ValueError):
    """The sample counts cannot support so many bins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """K-means bins of the training data, by falling share, and the features they are made of."""

    centres: Features
    """[K, d'], of features that were chosen, moved and scaled."""
    counts: Counts
    """[K] training samples in each."""
    dims: NDArray[np.int64]
    """[d'] which features are used."""
    offset: Features
    """[d'] taken from each of them."""
    scale: Features
    """[d'] then divided by this."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def assign(self, features: Features) -> Counts:
        """[n] the bin of each of features [n, d]; ties go to the first."""

        def work(rows: slice) -> Counts:
            chosen = (features[rows][:, self.dims] - self.offset) / self.scale
            return squared_distances(chosen, self.centres).argmin(1)

        return np.concatenate(list(map_blocks(work, len(features), BLOCK)))

    def count(self, features: Features) -> Counts:
        """[K] how many of features [n, d] are in each bin."""
        return np.bincount(self.assign(features), minlength=len(self.centres)).astype(np.int64)


def choose_num_bins(n_real: int, n_fake: int, fixed: int | None = None, most: int = MAX_BINS) -> int:
    """K: `fixed` where given, else as many as the smaller sample supports at 25 a bin, from 2 to `most`.

    Raises:
        TooFewSamples: with the smallest count that would support it.
    """
    supported = min(n_real, n_fake) // SAMPLES_PER_BIN
    wanted = fixed or max(2, min(most, supported))
    if wanted > supported:
        needed = wanted * SAMPLES_PER_BIN
        raise TooFewSamples(
            f"{wanted} bins need at least {needed} reals and as many fakes; there are {n_real} and {n_fake}"
        )
    return wanted


def fit_bins(
    features: Features,
    num_bins: int,
    rng: np.random.Generator,
    *,
    whiten: bool = False,
    max_dims: int | None = None,
    starts: int = 1,
) -> Bins:
    """K-means on training features [n, d]; the best of so many starts.

    With `whiten` each feature is divided by its standard deviation, as the paper does for images of faces; with
    `max_dims` only so many features are used, drawn from `rng` without replacement.
    """
    dims = _choose_dims(features.shape[1], max_dims, rng)
    offset, scale = np.zeros(len(dims), np.float32), np.ones(len(dims), np.float32)
    chosen = features if len(dims) == features.shape[1] else features[:, dims]
    if whiten:
        offset = chosen.mean(0, dtype=np.float64).astype(np.float32)
        scale = (chosen.std(0, dtype=np.float64) + WHITENING_EPS).astype(np.float32)
        chosen = (chosen - offset) / scale
    centres = fit_clusters(chosen, num_bins, rng, starts).centres
    bins = Bins(centres=centres, counts=np.zeros(num_bins, np.int64), dims=dims, offset=offset, scale=scale)
    counts = bins.count(features)
    order = np.argsort(-counts, kind="stable")
    return Bins(centres=centres[order], counts=counts[order], dims=dims, offset=offset, scale=scale)


def _choose_dims(count: int, most: int | None, rng: np.random.Generator) -> NDArray[np.int64]:
    if most is None or most >= count:
        return np.arange(count, dtype=np.int64)
    return np.sort(rng.permutation(count)[:most]).astype(np.int64)


def compare_bins(real: Counts, fake: Counts) -> tuple[Bin, ...]:
    """The test of every bin, from counts [K] of reals and fakes."""
    n_real, n_fake = real.sum(), fake.sum()
    p_real, p_fake = real / n_real, fake / n_fake
    z = two_proportion_z(real, fake)
    p = erfc(np.abs(z) / np.sqrt(2))
    columns = (p_real, p_fake, _standard_error(p_real, n_real), _standard_error(p_fake, n_fake), z, p, p < ALPHA)
    bounds = (ratio_upper(real, fake), is_missing(real, fake))
    names = ("real", "fake", "real_se", "fake_se", "z", "p", "different", "ratio_upper", "missing")
    rows = zip(*(column.tolist() for column in (*columns, *bounds)), strict=True)
    return tuple(Bin(**dict(zip(names, row, strict=True))) for row in rows)


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


def ratio_upper(real: NDArray[np.int64], fake: NDArray[np.int64]) -> Floats:
    """Upper 95 % bounds on fake share over real share, of counts [..., K]; NaN where a bin has neither.

    Exact given the bin's total, as counts of rare events are (Przyborowski & Wilenski 1940): of r + f samples f are
    fakes with probability n_fake θ / (n_fake θ + n_real), bounded by Clopper & Pearson (1934).
    """
    n_real, n_fake = real.sum(-1, keepdims=True), fake.sum(-1, keepdims=True)
    most = betaincinv(fake + 1, np.maximum(real, 1), MISSING_CONFIDENCE)
    bound = np.where(real > 0, most / (1 - most) * n_real / n_fake, np.inf)
    return np.where(real + fake > 0, bound, np.nan)


def is_missing(real: NDArray[np.int64], fake: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where `ratio_upper` is below a quarter: the same test the other way round, which takes no inversion."""
    n_real, n_fake = real.sum(-1, keepdims=True), fake.sum(-1, keepdims=True)
    at_a_quarter = MISSING_SHARE * n_fake / (MISSING_SHARE * n_fake + n_real)
    return (real > 0) & (bdtr(fake, real + fake, at_a_quarter) < 1 - MISSING_CONFIDENCE)


def missing_mass(real: NDArray[np.int64], fake: NDArray[np.int64]) -> Floats:
    """Training mass, in [0, 1], of the bins that fakes surely leave out, of counts [..., K]."""
    return (real / real.sum(-1, keepdims=True) * is_missing(real, fake)).sum(-1)


def chi_square(real: Counts, fake: Counts) -> tuple[float, float]:
    """Pearson's χ² of homogeneity over all bins, pooled, and its p; bins empty on both sides do not count.

    With few bins it sees a missing mode long before single bins can: use it as a gate. At large counts it rejects
    every generator.
    """
    used = real + fake > 0
    table = np.stack([real[used], fake[used]]).astype(np.float64)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    degrees = int(used.sum()) - 1
    return statistic, float(chdtrc(degrees, statistic)) if degrees else 1.0


MEASURES = {"ndb_over_k": ndb_over_k, "js": jensen_shannon, "missing_mass": missing_mass}


def null_of_bins(real: Counts, fake: Counts, rng: np.random.Generator) -> dict[str, Null]:
    """Each measure where both sides are drawn from the pooled proportions, at the same counts.

    No data is lost to it: resampling a small held-out pool instead would double the variance.
    """
    pooled = (real + fake) / (real.sum() + fake.sum())
    reals = rng.multinomial(real.sum(), pooled, size=NULL_DRAWS)
    fakes = rng.multinomial(fake.sum(), pooled, size=NULL_DRAWS)
    return {name: null_of(measure(reals, fakes), float(measure(real, fake))) for name, measure in MEASURES.items()}


def null_of(draws: Floats, value: float) -> Null:
    """Mean and quantiles of a measure's draws [n] under the null, and how far `value` is above their mean."""
    # Weibull's plotting positions: 90 of 100 further draws fall between the two, however few the draws.
    low, high = np.quantile(draws, [0.05, 0.95], method="weibull")
    mean = float(draws.mean())
    return Null(mean=mean, q05=float(low), q95=float(high), excess=value - mean)


def _standard_error(p: Floats, n: np.int64) -> Floats:
    return np.sqrt(p * (1 - p) / n)


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log(ratio)).sum(-1)
