"""Which modes of the data fakes show, where the data has modes that can be told apart.

oracle = mode_oracle(spec.dataset, data, cache, device)   # None where the data has none
modes = oracle(fakes)                                     # [n], -1 where a fake shows none
count_modes(modes, oracle.shares)                         # captured, high_quality, kl

`mode_counter` is all of it in one, as figures by name.
"""

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol, assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.data.load import DataArrays
from ganlib.data.mixtures import MIXTURES, Mixture
from ganlib.data.polygons import SMALLEST_DISTANCE, all_polygons
from ganlib.data.stacked import CHANNELS, mode_of
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.classifier import Classifier, load_classifier
from ganlib.spec.data import (
    Dataset,
    EdgesDataset,
    ImageDataset,
    MixtureDataset,
    PolygonDataset,
    StackedDataset,
    UploadDataset,
    UploadEdgesDataset,
    UploadPairsDataset,
)

NO_MODE = -1
MIXTURE_STDS = (
    3.0  # as Srivastava et al. 2017 and Lin et al. 2018; 98.9 % of a mode's own in the plane, 99.7 % on a line
)
POLYGON_RADIUS = SMALLEST_DISTANCE / 2  # 2.77: no image is nearer than that to two polygons
# Of held-out reals 97.7 % of MNIST pass, 94.8 % of MNIST-5k, 74.2 % of Fashion-MNIST, and of those 99.7, 99.1 and
# 98.0 % have their label; of noise at most 1.1 % passes (2026-11).
CONFIDENCE = 0.9
MIN_IMAGES_A_CLASS = 20  # with fewer the classifier would be judged by, and learn from, a handful
FAR = 100.0  # pixels and coordinates lie in [-1, 1]
BLOCK = 2048

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """How the fakes are spread over the modes."""

    captured: int
    """Modes with at least one fake of high quality (Metz et al. 2017)."""
    total: int
    """Modes of the data."""
    high_quality: float
    """Share of fakes, in [0, 1], that show a mode."""
    kl: float
    """KL(fakes || data) in nats over modes, of high-quality fakes; NaN where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionRecall:
    """Exact on a finite set of images; each in [0, 1]."""

    exact_precision: float
    exact_recall: float
    exact_f1: float


class ModeOracle(Protocol):
    """Tells which mode a sample shows."""

    @property
    def shares(self) -> Floats:
        """[M] share of each mode in the data; they sum to 1."""
        ...

    def __call__(self, samples: NDArray[np.float32]) -> Indices:
        """[n] mode of each of samples [n, *shape] in [-1, 1], or -1. Those that are not finite show none."""
        ...


ModeCounter = Callable[[NDArray[np.float32]], dict[str, float]]
"""Figures by name, of samples [n, *shape] in [-1, 1]."""


def mode_counter(dataset: Dataset, data: DataArrays, cache: Cache, device: torch.device) -> ModeCounter | None:
    """Counts modes of the training data: `modes_captured`, `modes_total`, `high_quality` and `mode_kl`.

    Polygons also give `exact_precision`, `exact_recall` and `exact_f1`, and labelled images `classifier_accuracy`, on
    images that the classifier was not trained on. None where `mode_oracle` is.
    """
    oracle = mode_oracle(dataset, data, cache, device)
    return None if oracle is None else functools.partial(_figures, oracle)


def _figures(oracle: ModeOracle, samples: NDArray[np.float32]) -> dict[str, float]:
    modes = oracle(samples)
    found = _named(count_modes(modes, oracle.shares))
    match oracle:
        case PolygonModes():
            return found | asdict(precision_recall(modes, len(oracle.shares)))
        case ClassModes():
            return found | {"classifier_accuracy": oracle.classifier.accuracy}
        case StackedModes():
            return found | {"classifier_accuracy": oracle.accuracy}
        case _:
            return found


def _named(found: Modes) -> dict[str, float]:
    return {
        "modes_captured": float(found.captured),
        "modes_total": float(found.total),
        "high_quality": found.high_quality,
        "mode_kl": found.kl,
    }


def mode_oracle(dataset: Dataset, data: DataArrays, cache: Cache, device: torch.device) -> ModeOracle | None:
    """The oracle for the training data of a spec; None where it has fewer than two classes, or too few images of one.

    For mixtures and polygons it is exact. For labelled images it is a classifier, trained at the first call for
    these images (seconds; see classifier.py) and right in 90 to 99 of 100 cases.
    """
    match dataset:
        case MixtureDataset():
            return MixtureModes(mixture=MIXTURES[dataset.name])
        case PolygonDataset():
            polygons = all_polygons().reshape(-1, np.prod(data.samples.shape[1:]))
            return PolygonModes(polygons=polygons.astype(np.float32) / np.float32(127.5) - np.float32(1))
        case StackedDataset():
            assert data.digits is not None, "stacked images come with their digits"
            return StackedModes(digits=_class_modes(data.digits, cache, device))
        case ImageDataset() | UploadDataset() | EdgesDataset() | UploadEdgesDataset() | UploadPairsDataset():
            counts = np.unique(data.labels, return_counts=True)[1]
            if len(counts) < 2 or counts.min() < MIN_IMAGES_A_CLASS:
                return None
            return _class_modes(data, cache, device)
        case _:
            assert_never(dataset)


def _class_modes(data: DataArrays, cache: Cache, device: torch.device) -> "ClassModes":
    counts = np.unique(data.labels, return_counts=True)[1]
    return ClassModes(classifier=load_classifier(data, cache, device), shares=counts / counts.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureModes:
    """A point shows the nearest mode if it lies within 3 standard deviations of its centre."""

    mixture: Mixture

    @property
    def shares(self) -> Floats:
        """[M]: modes are equally likely."""
        return _uniform(len(self.mixture.centres))

    def __call__(self, samples: NDArray[np.float32]) -> Indices:
        """[n] mode of points [n, d], or -1."""
        points, usable = _usable(samples)
        distances = np.linalg.norm(points[:, None] - self.mixture.centres[None], axis=2)
        return _within(distances.argmin(1), distances.min(1), MIXTURE_STDS * self.mixture.std, usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonModes:
    """An image shows the polygon that it is nearer to than half of the smallest distance between two polygons."""

    polygons: NDArray[np.float32]
    """[M, d] pixels in [-1, 1]."""

    @property
    def shares(self) -> Floats:
        """[M]: polygons are equally likely."""
        return _uniform(len(self.polygons))

    def __call__(self, samples: NDArray[np.float32]) -> Indices:
        """[n] index of the polygon of images [n, channels, height, width] or [n, d], or -1."""
        images = samples.reshape(len(samples), -1)
        return np.concatenate([self._nearest(images[i : i + BLOCK]) for i in range(0, len(images), BLOCK)])

    def _nearest(self, block: NDArray[np.float32]) -> Indices:
        images, usable = _usable(block)
        # float32 finds the nearest, for within the radius no other comes close; its distance is then computed exactly
        nearest = ((self.polygons**2).sum(1) - 2 * images @ self.polygons.T).argmin(1)
        distances = np.linalg.norm(images.astype(np.float64) - self.polygons[nearest], axis=1)
        return _within(nearest, distances, POLYGON_RADIUS, usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassModes:
    """An image shows the class that the classifier gives it with a confidence of at least .9.

    About one confident class in 400 (MNIST) to 50 (Fashion-MNIST) is wrong: a few captured modes may be mistakes.
    """

    classifier: Classifier
    shares: Floats
    """[M] by rising label."""

    def __call__(self, samples: NDArray[np.float32]) -> Indices:
        """[n] class of images [n, channels, height, width], numbered by rising label, or -1."""
        images, usable = _usable(samples)
        probabilities = self.classifier.probabilities(images)
        return np.where(usable & (probabilities.max(1) >= CONFIDENCE), probabilities.argmax(1), NO_MODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedModes:
    """An image shows the mode of its three digits where the classifier is sure of each: see `ClassModes`."""

    digits: ClassModes

    @property
    def shares(self) -> Floats:
        """[1000]: digits are drawn independently."""
        red, green, blue = np.ix_(*[self.digits.shares] * CHANNELS)
        return (red * green * blue).ravel()

    @property
    def accuracy(self) -> float:
        """Of the digits' classifier; three digits are right in about its third power of cases."""
        return self.digits.classifier.accuracy

    def __call__(self, samples: NDArray[np.float32]) -> Indices:
        """[n] mode of images [n, 3, height, width], 100·red + 10·green + blue, or -1."""
        channels = samples.reshape(-1, 1, *samples.shape[2:])
        digits = self.digits(channels).reshape(-1, CHANNELS)
        return np.where((digits != NO_MODE).all(1), mode_of(digits), NO_MODE)


def count_modes(modes: Indices, data_shares: Floats) -> Modes:
    """Counts of modes [n], -1 where a fake shows none, against the data's shares [M].

    `kl` has the direction of Metz et al. 2017: modes that are left out cost little, modes that are made too often
    much, and a mode that the data lacks is infinite. With n fakes from M modes a perfect generator scores about
    (M - 1) / 2n where n is far above M: it is compared with its null, never across counts.
    """
    counts = np.bincount(modes[modes != NO_MODE], minlength=len(data_shares))
    return Modes(
        captured=int((counts > 0).sum()),
        total=len(data_shares),
        high_quality=float((modes != NO_MODE).mean()),
        kl=_relative_entropy(counts / counts.sum(), data_shares) if counts.sum() else float("nan"),
    )


def precision_recall(modes: Indices, total: int) -> PrecisionRecall:
    """Exact precision, recall and F1 of fakes whose modes [n] come from a finite set of `total` equally likely members.

    Precision is the share of fakes near a member. Recall is the number of members hit over the number that n perfect
    draws hit on average, total·(1 - (1 - 1/total)^n); perfect draws can hit a few more, which counts as 1. F1 is their
    harmonic mean, 0 where both are 0.

    Source: Lucic et al. 2018 for the idea; there recall is found by optimising latents.
    """
    hit = modes[modes != NO_MODE]
    precision = len(hit) / len(modes)
    recall = min(1.0, len(np.unique(hit)) / expected_hits(len(modes), total))
    f1 = 2 * precision * recall / (precision + recall) if len(hit) else 0.0
    return PrecisionRecall(exact_precision=precision, exact_recall=recall, exact_f1=f1)


def expected_hits(n: int, total: int) -> float:
    """Mean number of different members among n uniform draws, with replacement, from `total`."""
    return float(-total * np.expm1(n * np.log1p(-1 / total)))


def _uniform(count: int) -> Floats:
    return np.full(count, 1 / count)


def _usable(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The samples with those that left [-1, 1] far behind, or are not finite, put to 0; and [n] which are as they were.

    Only a diverged generator makes such, and their squares would overflow.
    """
    usable: NDArray[np.bool_] = np.abs(samples).reshape(len(samples), -1).max(1) <= FAR
    kept = samples.copy()
    kept[~usable] = 0
    return kept, usable


def _within(nearest: NDArray[np.intp], distances: Floats, radius: float, usable: NDArray[np.bool_]) -> Indices:
    return np.where(usable & (distances < radius), nearest, NO_MODE)


def _relative_entropy(p: Floats, q: Floats) -> float:
    present = p > 0
    with np.errstate(divide="ignore"):  # a mode that the data lacks: infinite
        return float((p[present] * np.log(p[present] / q[present])).sum())
