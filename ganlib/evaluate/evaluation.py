"""All measures of one set of fakes against the real data, each with its null.

reference = prepare_reference(samples, spec)     # once a run
evaluation = evaluate(reference, fakes, epoch)   # as often as fakes come
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.evaluate import ndb
from ganlib.evaluate.neighbours import RealBalls, median_nearest_distance, precision_and_coverage, real_balls
from ganlib.report import Evaluation, Null
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec import RunSpec

NULL_SPLITS = 10  # pairs of disjoint real subsets behind each nearest-neighbour null


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the real data gives: bins, balls and nulls."""

    space: str
    seed: int
    bins: ndb.Bins
    balls: RealBalls
    nulls: dict[str, Null]
    """Of the nearest-neighbour measures and of spread; those of NDB depend on the fakes' counts."""


def prepare_reference(samples: NDArray[np.float32], spec: RunSpec) -> Reference:
    """Fit everything that depends on the real samples [n, *shape] alone."""
    features = flat(samples)
    num_bins = ndb.choose_num_bins(len(features), spec.evaluation.num_samples, spec.evaluation.num_bins)
    count = min(spec.evaluation.num_samples, len(features) // 2)
    rng = numpy_generator(spec.seed, Stream.EVALUATION)
    splits = [_split(features, count, rng) for _ in range(NULL_SPLITS)]
    return Reference(
        space=spec.evaluation.space,
        seed=spec.seed,
        bins=ndb.fit_bins(features, num_bins, rng),
        balls=real_balls(splits[0][0], spec.evaluation.neighbours),
        nulls=_nulls(splits, spec.evaluation.neighbours),
    )


def evaluate(reference: Reference, fakes: NDArray[np.float32], epoch: int) -> Evaluation:
    """The measures of fakes [n, *shape]. Those that are not finite lie in no ball and repeat one point."""
    features = np.nan_to_num(flat(fakes), nan=BLOWN_UP, posinf=BLOWN_UP, neginf=-BLOWN_UP)
    counts = ndb.bin_counts(reference.bins.centres, features)
    few = features[: len(reference.balls.features)]
    precision, coverage = precision_and_coverage(reference.balls, few)
    values = {name: float(measure(reference.bins.counts, counts)) for name, measure in ndb.MEASURES.items()}
    values |= {
        "precision": precision,
        "coverage": coverage,
        "fake_distance": median_nearest_distance(few),
        "spread": spread(few),
    }
    rng = numpy_generator(reference.seed, Stream.EVALUATION, epoch + 1)
    return Evaluation(
        epoch=epoch,
        space=reference.space,
        n_real=int(reference.bins.counts.sum()),
        n_fake=len(features),
        n_neighbours=len(few),
        num_bins=len(reference.bins.counts),
        values=values,
        nulls=reference.nulls | ndb.null_of_bins(reference.bins.counts, counts, rng),
        bins=ndb.compare_bins(reference.bins.counts, counts),
    )


BLOWN_UP = 1e6  # far from all data, and its square still finite


def flat(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n, *shape] → [n, d]."""
    return samples.reshape(len(samples), -1)


def spread(features: NDArray[np.float32]) -> float:
    """Mean over features of their standard deviation over samples [n, d]: 0 for one repeated sample."""
    return float(features.std(axis=0, dtype=np.float64).mean())


def _split(
    features: NDArray[np.float32], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    chosen = rng.permutation(len(features))[: 2 * count]
    return features[chosen[:count]], features[chosen[count:]]


def _nulls(splits: list[tuple[NDArray[np.float32], NDArray[np.float32]]], k: int) -> dict[str, Null]:
    rows = [
        (*precision_and_coverage(real_balls(one, k), other), median_nearest_distance(other), spread(other))
        for one, other in splits
    ]
    names = ("precision", "coverage", "fake_distance", "spread")
    return {name: ndb.null_of(np.array(column)) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
