# pyright: standard
"""What the oracle sees in fakes. It shares no figure, no space and no real data with the diagnosis.

Mixtures: their exact modes. Images: a classifier trained on reals that no run sees; within a single class, clusters of
other reals of it in that classifier's features.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.verdicts.data import held_apart
from bench.verdicts.oracle_figures import FIGURES
from ganlib.data.load import DataArrays, scaled
from ganlib.data.mixtures import MIXTURES
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.classifier import Classifier, ClassifierNet, load_classifier
from ganlib.evaluation.kmeans import fit_clusters
from ganlib.spec.data import MixtureDataset
from ganlib.spec.run import RunSpec

LEFT_OUT = 0.25
ENOUGH = 30  # fakes that show a class: fewer say nothing of which classes are made
CONFIDENCE = 0.9
STYLES = 10  # clusters of a single class
COPY = 0.05  # quantile of the distances from other reals to the training data
MOST_TRAINED = 1000
CACHE = Cache(Path(".ganclinic/cache"))
CPU = torch.device("cpu")


def oracle_figures(spec: RunSpec, data: DataArrays, fakes: NDArray[np.float32], data_dir: Path) -> dict[str, float]:
    """FIGURES of fakes [n, *shape]."""
    flat = fakes.reshape(len(fakes), -1)
    finite = np.isfinite(flat).all(1) & (np.abs(flat).max(1) < 100)
    usable = fakes[finite]
    empty = dict.fromkeys(FIGURES, float("nan")) | {"finite": float(finite.mean()), "quality": 0.0}
    if len(usable) < ENOUGH:
        return empty
    judge = _of_points if isinstance(spec.dataset, MixtureDataset) else _of_images
    return empty | judge(spec, data, usable, data_dir)


def mode_shares(spec: RunSpec, data: DataArrays, fakes: NDArray[np.float32], data_dir: Path) -> NDArray[np.float32]:
    """[modes] share of the fakes [n, *shape] of each mode, whatever they show of it.

    Of mixtures the nearest mode, of images the class that they look most like, of a single class its styles.
    """
    usable = np.nan_to_num(fakes, nan=0.0, posinf=100, neginf=-100).clip(-100, 100)
    if isinstance(spec.dataset, MixtureDataset):
        centres = MIXTURES[spec.dataset.name].centres
        modes, count = np.linalg.norm(usable[:, None] - centres[None], axis=2).argmin(1), len(centres)
    else:
        judge = _judge(spec.dataset.name, tuple(np.unique(data.labels).tolist()), data_dir)
        if judge.styles is None:
            probabilities = judge.classifier.probabilities(usable)
            modes, count = probabilities.argmax(1), probabilities.shape[1]
        else:
            modes, count = _nearest(_features(judge.classifier, usable), judge.styles)[0], len(judge.styles)
    return (np.bincount(modes, minlength=count) / len(fakes)).astype(np.float32)


# --- mixtures ---------------------------------------------------------------------------------------------------


def _of_points(spec: RunSpec, data: DataArrays, fakes: NDArray[np.float32], data_dir: Path) -> dict[str, float]:
    mixture = MIXTURES[spec.dataset.name]
    distances = np.linalg.norm(fakes[:, None] - mixture.centres[None], axis=2)
    nearest, modes = distances.argmin(1), len(mixture.centres)
    within = (distances.min(1) < 3 * mixture.std).mean() / 0.989  # of a normal distribution in the plane
    return {
        "missing": _missing(nearest, np.full(modes, 1 / modes)),
        "quality": float(within),
        "spread": _spread(fakes) / _spread(scaled(data)[:1000]),
        "copied": 0.0,
    }


# --- images -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """What the oracle knows of a data set's classes."""

    classifier: Classifier
    confident: float
    """Share of other reals that it is sure of, and right."""
    styles: NDArray[np.float32] | None
    """[STYLES, d] centres of clusters, of a single class."""
    style_shares: NDArray[np.float64] | None
    spread: float
    reals: NDArray[np.float32]
    """[n, d] features of other reals."""


def _of_images(spec: RunSpec, data: DataArrays, fakes: NDArray[np.float32], data_dir: Path) -> dict[str, float]:
    kept = np.unique(data.labels)
    judge = _judge(spec.dataset.name, tuple(kept.tolist()), data_dir)
    probabilities = judge.classifier.probabilities(fakes)
    classes, sure = probabilities.argmax(1), probabilities.max(1) >= CONFIDENCE
    shown = sure & np.isin(classes, kept)
    features = _features(judge.classifier, fakes)
    missing = float("nan")
    if shown.sum() >= ENOUGH:
        if judge.styles is None:
            missing = _missing(np.searchsorted(kept, classes[shown]), np.full(len(kept), 1 / len(kept)))
        else:
            assert judge.style_shares is not None
            missing = _missing(_nearest(features[shown], judge.styles)[0], judge.style_shares)
    return {
        "missing": missing,
        "quality": float(shown.mean() / judge.confident),
        "spread": _spread(features) / judge.spread,
        "copied": _copied(judge, features, data),
    }


@lru_cache(maxsize=8)
def _judge(name: str, kept: tuple[int, ...], data_dir: Path) -> _Judge:
    reals = held_apart(name, data_dir)
    classifier = load_classifier(reals, CACHE, CPU)
    chosen = scaled(DataArrays(samples=reals.samples[np.isin(reals.labels, kept)], labels=reals.labels))[:2000]
    labels = reals.labels[np.isin(reals.labels, kept)][:2000]
    probabilities, features = classifier.probabilities(chosen), _features(classifier, chosen)
    right = (probabilities.max(1) >= CONFIDENCE) & (probabilities.argmax(1) == labels)
    styles, shares = None, None
    if len(kept) == 1:
        styles = fit_clusters(features, STYLES, np.random.default_rng(0)).centres
        shares = np.bincount(_nearest(features, styles)[0], minlength=STYLES) / len(features)
    return _Judge(
        classifier=classifier,
        confident=float(right.mean()),
        styles=styles,
        style_shares=shares,
        spread=_spread(features[:1000]),
        reals=features[:1000],
    )


@torch.no_grad()
def _features(classifier: Classifier, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n, 2352] what the classifier's last layer sees."""
    network = classifier.network
    assert isinstance(network, ClassifierNet)
    parts = torch.from_numpy(np.ascontiguousarray(images)).split(500)
    return torch.cat([network.layers[:-1](part) for part in parts]).numpy()


def _copied(judge: _Judge, features: NDArray[np.float32], data: DataArrays) -> float:
    trained = _features(judge.classifier, scaled(data)[_evenly(len(data.samples), MOST_TRAINED)])
    near = np.quantile(_nearest(judge.reals[:500], trained)[1], COPY)
    return float((_nearest(features, trained)[1] < near).mean())


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


# --- parts ------------------------------------------------------------------------------------------------------


def _missing(modes: NDArray[np.int64], shares: NDArray[np.float64]) -> float:
    made = np.bincount(modes, minlength=len(shares)) / len(modes)
    return float(shares[made < LEFT_OUT * shares].sum())


def _spread(features: NDArray[np.float32]) -> float:
    half = len(features) // 2
    return float(np.linalg.norm(features[:half] - features[half : 2 * half], axis=1).mean())


def _nearest(
    queries: NDArray[np.float32], others: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    squares = (queries**2).sum(1)[:, None] - 2 * queries @ others.T + (others**2).sum(1)
    return squares.argmin(1), np.sqrt(np.maximum(squares.min(1), 0))
