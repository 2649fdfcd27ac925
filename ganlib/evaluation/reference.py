"""All measures of fakes against real data, each with its null.

reference = prepare_reference(reals, context, num_samples=1000, cache=cache)   # once a data set, then from the cache
evaluation = evaluate(reference, fakes, epoch)                                 # as often as fakes come
compare(reals, fakes, options, ...)                                            # both, of two sets of samples
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import chdtri

from ganlib.data.load import as_float
from ganlib.evaluation.cache import Arrays, Cache, content_key
from ganlib.evaluation.extractors import INCEPTION_FILE, load_extractor
from ganlib.evaluation.measures import ndb
from ganlib.evaluation.measures.memorisation import (
    copies_null,
    leave_one_out_distances,
    memorisation,
    memorisation_null,
    nearest_distances,
)
from ganlib.evaluation.measures.paired import l1, ssim
from ganlib.evaluation.measures.table import MEASURES_VERSION, Context, SampleSet, measure_subset
from ganlib.records import EpochEvaluation, Null
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.checks.pairs import SSIM_WINDOW
from ganlib.spec.evaluation import IMAGE_SPACES, Comparison, Space

NULL_SPLITS = 20  # pairs of disjoint real sets behind each null
MAX_SUBSET = 5000  # reals, and as many fakes, in measures whose cost grows with the square
MAX_EMBEDDED = 10_000  # reals that pass through a network for all measures but memorisation: 24 s on one core
FEW_BINS = 20  # of χ²: of 10, 20 and 40, these see a missing class of digits most often (docs/evaluation.md)
FEW_BINS_STARTS = 10
BLOWN_UP = 1e6  # far from all data, and its square still finite

EVALUATION_SEED = 0  # of bins and splits, which no run's seed may change

Samples = NDArray[np.float32]
Indices = NDArray[np.int64]
Embed = Callable[[Samples], NDArray[np.float32]]
"""Samples [n, *shape] to features [n, d]."""


class InvalidComparison(ValueError):
    """The two sets cannot be compared like this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the real data gives: sets, bins, and the draws behind nulls."""

    context: Context
    embed: Embed
    reals: SampleSet
    subset: SampleSet
    bins: ndb.Bins | None
    few_bins: ndb.Bins | None
    trained: NDArray[np.float32]
    """[n, d] features of all reals, which memorisation looks at; empty where it is not measured."""
    unseen: NDArray[np.float64] | None
    """Distances to the nearest real, as reals outside of the training data have them; None where not measured."""
    draws: dict[str, NDArray[np.float64]]
    """Each subset figure between two disjoint sets of reals."""
    shift: dict[str, float]
    """All figures of the data set's test split."""
    targets: Samples | None = None
    """What the fakes were to be, one by one; None where they have no targets."""


def prepare_reference(
    reals: Samples,
    context: Context,
    embed: Embed,
    *,
    num_samples: int,
    cache: Cache,
    test: Samples | None = None,
    null_splits: int = NULL_SPLITS,
) -> Reference:
    """Fit everything that depends on the reals [n, *shape] alone, to measure `num_samples` fakes.

    It depends on no run's seed, so that all runs on a data set share it through the cache. Features that change with
    every update, those of a discriminator, come with a cache that keeps nothing. Of more than MAX_EMBEDDED reals these
    are not computed, and memorisation, which needs those of each, is left out.
    """
    space, chosen = context.options.space, slice(None)
    everyone = "memorisation" in context.options.measures and (space != "discriminator" or len(reals) <= MAX_EMBEDDED)
    if space != "pixels" and len(reals) > MAX_EMBEDDED:
        chosen = _chosen(len(reals), MAX_EMBEDDED, 0)
    if everyone:
        features = _features(reals, embed, space, cache)
        real_set = SampleSet(samples=reals[chosen], features=features[chosen])
    else:
        features = np.empty((0, 0), np.float32)
        real_set = SampleSet(samples=reals[chosen], features=_features(reals[chosen], embed, space, cache))
    fit = _Fit(
        reals=real_set,
        trained=features,
        key=content_key(real_set.features, real_set.samples.shape) if cache.keeps else "",
        context=context,
        num_samples=num_samples,
        cache=cache,
        null_splits=null_splits,
    )
    reference = Reference(
        context=context,
        embed=embed,
        reals=real_set,
        subset=real_set.take(fit.splits(1)[0][0]),
        bins=fit.bins(),
        few_bins=fit.few_bins(),
        trained=features,
        unseen=fit.unseen(),
        draws=fit.draws(),
        shift={},
    )
    return reference if test is None else replace(reference, shift=fit.shift(reference, test))


def evaluate(reference: Reference, fakes: Samples, epoch: int) -> EpochEvaluation:
    """The measures of fakes [n, *shape]. Those that are not finite lie in no ball and repeat one point."""
    samples = np.nan_to_num(fakes, nan=BLOWN_UP, posinf=BLOWN_UP, neginf=-BLOWN_UP)
    fake_set = SampleSet(samples=samples, features=reference.embed(samples))
    bins = reference.bins
    counts = None if bins is None else bins.count(fake_set.features)
    values, nulls = _figures(reference, fake_set, counts, _rng(6, epoch))
    found = EpochEvaluation(
        epoch=epoch,
        space=reference.context.options.space,
        n_real=len(reference.reals),
        n_fake=len(fake_set),
        n_subset=min(len(reference.subset), len(fake_set)),
        num_bins=0 if bins is None else len(bins.counts),
        values=values,
        nulls=nulls,
        shift=reference.shift,
        bins=() if bins is None or counts is None else ndb.compare_bins(bins.counts, counts),
    )
    if reference.targets is None or "paired" not in reference.context.options.measures:
        return found
    return _with_pairs(found, reference.targets[: len(samples)], samples)


def compare(
    reals: NDArray[np.uint8] | Samples,
    fakes: NDArray[np.uint8] | Samples,
    options: Comparison,
    *,
    seed: int,
    device: torch.device,
    cache: Cache,
    data_dir: Path | None = None,
) -> tuple[EpochEvaluation, Reference]:
    """The measures of two sets of samples, images [n, channels, height, width] as uint8 or any float32 [n, ...].

    The reference is what the reals gave, for a picture of its bins.

    Raises:
        InvalidComparison: saying what does not fit.
        ExtractorUnavailable: the weights of the extractor are not there.
    """
    if reals.shape[1:] != fakes.shape[1:]:
        raise InvalidComparison(f"fake: samples have the shape {fakes.shape[1:]}, those of real {reals.shape[1:]}")
    if options.space == "discriminator":
        raise InvalidComparison("options.space: there is no discriminator here; allowed: 'pixels' and the extractors")
    if options.space in IMAGE_SPACES and reals.ndim != 4:
        raise InvalidComparison(f"options.space: '{options.space}' needs images; for other samples use 'pixels'")
    if "paired" in options.measures and (
        reals.shape != fakes.shape or reals.ndim != 4 or min(reals.shape[2:]) < SSIM_WINDOW
    ):
        raise InvalidComparison(
            f"options.measures: 'paired' needs as many real images as fake ones, of at least {SSIM_WINDOW} "
            f"x {SSIM_WINDOW} pixels"
        )
    if min(len(reals) // 2, len(fakes)) <= options.neighbours:
        raise InvalidComparison(
            f"options.neighbours: {options.neighbours} needs more than {options.neighbours} fakes and more than "
            f"{2 * options.neighbours} reals"
        )
    context = Context(options=options, device=device)
    embed = embedding(options.space, device, data_dir)
    try:
        reference = prepare_reference(as_float(reals), context, embed, num_samples=len(fakes), cache=cache)
    except ndb.TooFewSamples as error:
        raise InvalidComparison(f"options.num_bins: {error}") from None
    order = numpy_generator(seed, Stream.EVALUATION).permutation(len(fakes))  # an archive is sorted by class
    found = evaluate(reference, as_float(fakes)[order], 1)
    if "paired" in options.measures:
        found = _with_pairs(found, as_float(reals), as_float(fakes))
    return found, reference


def _with_pairs(found: EpochEvaluation, reals: Samples, fakes: Samples) -> EpochEvaluation:
    """With what each fake scores beside the real of its number; real data as fakes are those reals themselves."""
    values = {"ssim": ssim(reals, fakes), "l1": l1(reals, fakes)}
    nulls = {
        name: Null(mean=best, q05=best, q95=best, excess=values[name] - best)
        for name, best in (("ssim", 1.0), ("l1", 0.0))
    }
    return replace(found, values=found.values | values, nulls=found.nulls | nulls)


def embedding(space: Space, device: torch.device, data_dir: Path | None = None) -> Embed:
    """From samples to features of a space that needs no training; `data_dir` may hold the weights of inception-v3.

    Raises:
        ExtractorUnavailable: the weights are not there, saying where to put them.
    """
    if space == "pixels":
        return flat
    weights = data_dir / INCEPTION_FILE if space == "inception-v3" and data_dir is not None else None
    return load_extractor(space, weights, device).features


def flat(samples: Samples) -> NDArray[np.float32]:
    """[n, *shape] → [n, d]."""
    return samples.reshape(len(samples), -1)


# --- fitting ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """The parts of a reference, each from the cache where it is there."""

    reals: SampleSet
    trained: NDArray[np.float32]
    """As in the reference."""
    key: str
    """Names the reals in the cache: of their features and their shape, which decides what can be measured."""
    context: Context
    num_samples: int
    cache: Cache
    null_splits: int

    def splits(self, count: int) -> list[tuple[Indices, Indices]]:
        """Pairs of disjoint subsets of the reals, as large as both can be and no larger than the fakes."""
        size = min(self.num_samples, len(self.reals) // 2, MAX_SUBSET)
        orders = [_rng(1, split).permutation(len(self.reals)) for split in range(count)]
        return [(order[:size], order[size : 2 * size]) for order in orders]

    def bins(self) -> ndb.Bins | None:
        options = self.context.options
        if "ndb" not in options.measures:
            return None
        num_bins = ndb.choose_num_bins(len(self.reals), self.num_samples, options.num_bins)
        return self._bins(num_bins, starts=1, whiten=options.whiten, max_dims=options.max_dims)

    def few_bins(self) -> ndb.Bins | None:
        options = self.context.options
        if "chi_square" not in options.measures:
            return None
        num_bins = ndb.choose_num_bins(len(self.reals), self.num_samples, most=FEW_BINS)
        return self._bins(num_bins, starts=FEW_BINS_STARTS, whiten=options.whiten, max_dims=options.max_dims)

    def _bins(self, num_bins: int, **options: Any) -> ndb.Bins:
        features = self.reals.features
        parts = (self.key, num_bins, sorted(options.items()))
        return ndb.Bins(
            **self.cache.arrays("bins", parts, lambda: ndb.fit_bins(features, num_bins, _rng(2), **options).to_arrays())
        )

    def unseen(self) -> NDArray[np.float64] | None:
        if not len(self.trained):
            return None
        features, chosen = self.trained, _chosen(len(self.trained), self.num_samples, 3)
        more = (content_key(features),) if self.cache.keeps and len(features) > len(self.reals) else ()
        parts, pairwise = (self.key, self.num_samples, *more, *self._elsewhere()), self.context.pairwise
        found = self.cache.arrays(
            "unseen", parts, lambda: {"distances": leave_one_out_distances(features, chosen, pairwise)}
        )
        return found["distances"]

    def draws(self) -> dict[str, NDArray[np.float64]]:
        def make() -> Arrays:
            splits = self.splits(self.null_splits)
            rows = [measure_subset(self.reals.take(one), self.reals.take(other), self.context) for one, other in splits]
            return {name: np.array([row[name] for row in rows]) for name in rows[0]}

        return self.cache.arrays("draws", self._everything(), make)

    def shift(self, reference: Reference, test: Samples) -> dict[str, float]:
        def make() -> Arrays:
            samples = test[_chosen(len(test), self.num_samples, 4)]
            test_set = SampleSet(samples=samples, features=reference.embed(samples))
            counts = None if reference.bins is None else reference.bins.count(test_set.features)
            values, _ = _figures(reference, test_set, counts, _rng(5))
            return {name: np.array(value) for name, value in values.items()}

        found = self.cache.arrays("shift", (*self._everything(), test), make)
        return {name: float(value) for name, value in found.items()}

    def _elsewhere(self) -> tuple[str, ...]:
        """The kind of device, but for the CPU: what others round otherwise must not reach it through the cache."""
        kind = self.context.device.type
        return () if kind == "cpu" else (kind,)

    def _everything(self) -> tuple[object, ...]:
        """All that figures depend on besides the fakes."""
        return (
            self.key,
            self.num_samples,
            self.context.options.model_dump_json(),
            self.context.modes is None,
            self.null_splits,
            MEASURES_VERSION,
            *self._elsewhere(),
        )


def _features(reals: Samples, embed: Embed, space: Space, cache: Cache) -> NDArray[np.float32]:
    """[n, d]; those of an extractor in blocks, so that who is interrupted goes on from the last one."""
    if space == "pixels":
        return embed(reals)
    blocks = [reals[first : first + MAX_EMBEDDED] for first in range(0, len(reals), MAX_EMBEDDED)]
    return np.concatenate([_embedded(block, embed, space, cache) for block in blocks])


def _embedded(reals: Samples, embed: Embed, space: Space, cache: Cache) -> NDArray[np.float32]:
    return cache.arrays("features", (space, reals), lambda: {"features": embed(reals)})["features"]


def _chosen(size: int, count: int, index: int) -> Indices:
    """Which of `size` samples are used, at most `count`, in their order."""
    return np.sort(_rng(index).permutation(size)[:count])


def _rng(index: int, draw: int = 0) -> np.random.Generator:
    """Randomness that belongs to a data set, not to a run."""
    return np.random.default_rng([EVALUATION_SEED, index, draw])


# --- figures ----------------------------------------------------------------------------------------------------

Figures = tuple[dict[str, float], dict[str, Null]]


def _figures(reference: Reference, fakes: SampleSet, counts: ndb.Counts | None, rng: np.random.Generator) -> Figures:
    """Every figure that the options name, and its null."""
    values: dict[str, float] = {}
    nulls: dict[str, Null] = {}
    for found, expected in (
        _bin_figures(reference.bins, counts, rng),
        _few_bin_figures(reference.few_bins, fakes),
        _subset_figures(reference, fakes),
        _memorisation_figures(reference, fakes),
    ):
        values |= found
        nulls |= expected
    return values, nulls


def _bin_figures(bins: ndb.Bins | None, counts: ndb.Counts | None, rng: np.random.Generator) -> Figures:
    if bins is None or counts is None:
        return {}, {}
    values = {name: float(measure(bins.counts, counts)) for name, measure in ndb.MEASURES.items()}
    return values, ndb.null_of_bins(bins.counts, counts, rng)


def _few_bin_figures(bins: ndb.Bins | None, fakes: SampleSet) -> Figures:
    if bins is None:
        return {}, {}
    statistic, p = ndb.chi_square(bins.counts, bins.count(fakes.features))
    degrees = len(bins.counts) - 1
    low, high = chdtri(degrees, [0.95, 0.05])
    null = Null(mean=float(degrees), q05=float(low), q95=float(high), excess=statistic - degrees)
    return {"chi_square": statistic, "chi_square_p": p}, {
        "chi_square": null,
        "chi_square_p": Null(mean=0.5, q05=0.05, q95=0.95, excess=p - 0.5),
    }


def _subset_figures(reference: Reference, fakes: SampleSet) -> Figures:
    few = fakes.take(slice(len(reference.subset)))
    values = measure_subset(reference.subset, few, reference.context)
    draws = {name: reference.draws[name] for name in values if np.isfinite(reference.draws[name]).all()}
    return values, {name: ndb.null_of(draw, values[name]) for name, draw in draws.items()}


def _memorisation_figures(reference: Reference, fakes: SampleSet) -> Figures:
    if reference.unseen is None:
        return {}, {}
    distances = nearest_distances(fakes.features, reference.trained, reference.context.pairwise)
    found = memorisation(distances, reference.unseen)
    values = {"memorisation": found.score, "copies": found.copies}
    counts = len(distances), len(reference.unseen)
    expected = {"memorisation": memorisation_null(*counts), "copies": copies_null(*counts)}
    return values, {
        name: Null(mean=mean, q05=low, q95=high, excess=values[name] - mean)
        for name, (mean, low, high) in expected.items()
    }
