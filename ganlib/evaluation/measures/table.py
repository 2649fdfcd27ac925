"""The measures that compare as many fakes as reals, by name: each a function of two sets of the same size.

Their null is the same function of two disjoint sets of reals (`evaluation.py`). NDB, χ² and memorisation use all
reals, and have nulls of their own.
"""

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.evaluation.extractors import Extractor, load_extractor
from ganlib.evaluation.gpu_distances import squared_distances_on
from ganlib.evaluation.measures.diversity import ms_ssim_diversity, perceptual_diversity
from ganlib.evaluation.measures.frechet import frechet_distance, kernel_distance
from ganlib.evaluation.measures.modes import ModeCounter
from ganlib.evaluation.measures.neighbours import (
    OwnDistances,
    Pairwise,
    median_nearest_distance,
    own_distances,
    prdc,
    real_ball_share,
    squared_distances,
)
from ganlib.evaluation.measures.repetition import duplicate_radius, near_duplicate_rate, support_size
from ganlib.evaluation.measures.vendi import vendi_score
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.checks.pairs import SSIM_WINDOW
from ganlib.spec.evaluation import Comparison, MeasureName

MEASURES_VERSION = 2
"""Raise it when a measure gets a figure, loses one or computes it otherwise: nulls of other figures lie in caches."""
DIVERSITY_PAIRS = 100  # the standard error of a mean is then a tenth of the spread between pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """Samples and what the space makes of them."""

    samples: NDArray[np.float32]
    """[n, *shape]; images in [-1, 1]."""
    features: NDArray[np.float32]
    """[n, d]."""
    _own: dict[tuple[str, tuple[int, ...], float], OwnDistances] = field(
        default_factory=dict[tuple[str, tuple[int, ...], float], OwnDistances], init=False, repr=False, compare=False
    )
    """Distances among its samples that were computed."""
    _ball_shares: dict[tuple[str, int], float] = field(
        default_factory=dict[tuple[str, int], float], init=False, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.features)

    def take(self, chosen: NDArray[np.int64] | slice) -> "SampleSet":
        """The chosen samples."""
        return SampleSet(samples=self.samples[chosen], features=self.features[chosen])

    def own_distances(self, context: "Context", radius: float = 0.0) -> OwnDistances:
        """The distances among its samples that the options need; computed the first time."""
        ks = {1, context.options.neighbours} if "prdc" in context.options.measures else {1}
        asked_for = (context.device.type, tuple(sorted(ks)), radius)
        if asked_for not in self._own:
            self._own[asked_for] = own_distances(self.features, ks, radius, context.pairwise)
        return self._own[asked_for]

    def ball_share(self, context: "Context") -> float:
        """`real_ball_share` of its samples; computed the first time."""
        k = context.options.neighbours
        asked_for = (context.device.type, k)
        if asked_for not in self._ball_shares:
            radii = self.own_distances(context).squared_radii[k]
            self._ball_shares[asked_for] = real_ball_share(self.features, radii, k, context.pairwise)
        return self._ball_shares[asked_for]

    @property
    def are_images(self) -> bool:
        """Whether samples are gray or coloured pictures."""
        return self.samples.ndim == 4 and self.samples.shape[1] in (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What measures need besides the two sets."""

    options: Comparison
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    modes: ModeCounter | None = None
    """Counts the modes of the data set; None where it has none that are known."""

    @property
    def pairwise(self) -> Pairwise:
        """How the distances between samples are computed on the device."""
        return squared_distances_on(self.device) if self.device.type == "cuda" else squared_distances


Measure = Callable[[SampleSet, SampleSet, Context], dict[str, float]]


def _own_distances(reals: SampleSet, fakes: SampleSet, context: Context) -> tuple[OwnDistances, OwnDistances]:
    """Of both sets, for all measures alike."""
    of_reals = reals.own_distances(context)
    radius = duplicate_radius(of_reals) if "repetition" in context.options.measures else 0.0
    return of_reals, fakes.own_distances(context, radius)


def _prdc(reals: SampleSet, fakes: SampleSet, context: Context) -> dict[str, float]:
    own = _own_distances(reals, fakes, context)
    found = prdc(
        reals.features,
        fakes.features,
        context.options.neighbours,
        context.pairwise,
        own=own,
        real_share=reals.ball_share(context),
    )
    return asdict(found)


def _repetition(reals: SampleSet, fakes: SampleSet, context: Context) -> dict[str, float]:
    _, of_fakes = _own_distances(reals, fakes, context)
    return {
        "fake_distance": median_nearest_distance(of_fakes),
        "near_duplicates": near_duplicate_rate(of_fakes),
        "support_size": support_size(of_fakes),
        "spread": float(fakes.features.std(axis=0, dtype=np.float64).mean()),
    }


def _vendi(reals: SampleSet, fakes: SampleSet, context: Context) -> dict[str, float]:
    return {"vendi": vendi_score(fakes.features)}


def _modes(reals: SampleSet, fakes: SampleSet, context: Context) -> dict[str, float]:
    return {} if context.modes is None else context.modes(fakes.samples)


def _frechet(reals: SampleSet, fakes: SampleSet, context: Context) -> dict[str, float]:
    name = "fid" if context.options.space == "inception-v3" else "frechet"
    return {name: frechet_distance(reals.features, fakes.features)}


def _kernel(reals: SampleSet, fakes: SampleSet, context: Context) -> dict[str, float]:
    name = "kid" if context.options.space == "inception-v3" else "kernel"
    return {name: kernel_distance(reals.features, fakes.features, _rng(0))}


def _diversity(reals: SampleSet, fakes: SampleSet, context: Context) -> dict[str, float]:
    if not fakes.are_images or min(fakes.samples.shape[2:]) < SSIM_WINDOW:
        return {}
    images = fakes.samples.clip(-1, 1)
    return {
        "ms_ssim": ms_ssim_diversity(images, _rng(1), DIVERSITY_PAIRS),
        "perceptual": perceptual_diversity(images, _perceptual(context.device), _rng(1), DIVERSITY_PAIRS),
    }


@functools.cache
def _perceptual(device: torch.device) -> Extractor:
    return load_extractor("efficientnet-lite0", None, device)


def _rng(index: int) -> np.random.Generator:
    """The same draws at every epoch, so that a figure moves only where the fakes do."""
    return numpy_generator(0, Stream.EVALUATION, index)


SUBSET_MEASURES: dict[MeasureName, Measure] = {
    "prdc": _prdc,
    "repetition": _repetition,
    "vendi": _vendi,
    "modes": _modes,
    "frechet": _frechet,
    "kernel": _kernel,
    "diversity": _diversity,
}


def measure_subset(reals: SampleSet, fakes: SampleSet, context: Context) -> dict[str, float]:
    """Every figure that the options name."""
    figures: dict[str, float] = {}
    for name in context.options.measures:
        if name in SUBSET_MEASURES:
            figures |= SUBSET_MEASURES[name](reals, fakes, context)
    return figures
