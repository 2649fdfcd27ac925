"""K-means: as good as scikit-learn's, and the same bits on any number of threads."""

from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans

from ganlib.evaluation import blocks, kmeans
from ganlib.evaluation.kmeans import fit_clusters, nearest_centres


def blobs(n: int = 6000, d: int = 12, modes: int = 30) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 3, (modes, d))
    return (centres[rng.integers(0, modes, n)] + rng.normal(size=(n, d))).astype(np.float32)


def sklearn_inertia(features: np.ndarray, num_clusters: int, seed: int) -> float:
    options: Any = {"n_init": 1, "max_iter": 100, "random_state": seed}
    return float(KMeans(num_clusters, **options).fit(features).inertia_)  # pyright: ignore[reportArgumentType]


def test_its_inertia_is_within_one_percent_of_scikit_learns():
    features = blobs()
    # With more clusters than modes no start is stuck far from the best one.
    ours = np.mean([fit_clusters(features, 60, np.random.default_rng(s)).inertia for s in range(3)])
    theirs = np.mean([sklearn_inertia(features, 60, s) for s in range(3)])
    assert ours < 1.01 * theirs


def test_inertia_is_the_sum_of_squared_distances_to_the_nearest_centre():
    features = blobs(500)
    found = fit_clusters(features, 5, np.random.default_rng(1))
    squares = ((features[:, None].astype(np.float64) - found.centres[None]) ** 2).sum(2)
    assert found.inertia == pytest.approx(squares.min(1).sum(), rel=1e-5)
    assert (nearest_centres(features, found.centres) == squares.argmin(1)).all()


def test_of_several_starts_the_best_is_kept():
    rng = np.random.default_rng(0)
    modes = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 2000)]
    features = modes + rng.normal(0, 0.01, modes.shape).astype(np.float32)
    assert fit_clusters(features, 10, np.random.default_rng(0), starts=10).inertia < 2.5  # 2000 · 10 · .0001 = 2


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    features = blobs(3000)
    monkeypatch.setattr(kmeans, "BLOCK", 500)
    monkeypatch.setattr(blocks.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    four = fit_clusters(features, 10, np.random.default_rng(0))
    monkeypatch.setattr(blocks.os, "sched_getaffinity", lambda _: {0})
    one = fit_clusters(features, 10, np.random.default_rng(0))
    assert four.centres.tobytes() == one.centres.tobytes()
    assert four.inertia == one.inertia


def test_fewer_distinct_rows_than_clusters_raise_nothing():
    features = np.repeat(np.array([[0.0, 0.0], [1.0, 1.0]], dtype=np.float32), 30, axis=0)
    found = fit_clusters(features, 5, np.random.default_rng(0))
    assert found.inertia == 0
    assert np.isfinite(found.centres).all()
