"""Repetition: against distances of scipy, the birthday paradox, and sets that repeat wholly or not at all."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from ganlib.evaluation.measures import neighbours
from ganlib.evaluation.measures.neighbours import own_distances
from ganlib.evaluation.measures.repetition import duplicate_radius, near_duplicate_rate, support_size


def points(seed, n, d=6):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.fixture(params=[7, 1024])
def block(request, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
def test_rate_and_support_are_those_of_all_distances():
    x = points(0, 80)
    distances = pdist(x.astype(np.float64))
    nearest = (squareform(distances) + np.diag(np.full(80, np.inf))).min(1)
    for radius in (0.5, 1.0, 2.0):
        assert near_duplicate_rate(own_distances(x, radius=radius)) == (nearest <= radius).mean()
        pairs = (distances <= radius).sum()
        assert support_size(own_distances(x, radius=radius)) == (80 * 79 / 2 / pairs if pairs else np.inf)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_within_its_radius_at_least_that_share_of_reals_has_another(share):
    x = points(1, 150)
    radius = duplicate_radius(own_distances(x), share)
    rate = near_duplicate_rate(own_distances(x, radius=radius))
    assert share <= rate <= share + 2 / 150  # nearest neighbours of each other come in twos
    assert near_duplicate_rate(own_distances(x, radius=radius * (1 - 1e-9))) < share


@pytest.mark.usefixtures("block")
def test_exact_copies_are_found_at_radius_0_however_many_features_there_are():
    rng = np.random.default_rng(0)
    x = rng.uniform(50, 100, (30, 10_000)).astype(np.float32)
    assert near_duplicate_rate(own_distances(x, radius=0)) == 0
    x[29] = x[3]
    assert near_duplicate_rate(own_distances(x, radius=0)) == pytest.approx(2 / 30)
    assert support_size(own_distances(x, radius=0)) == 30 * 29 / 2


def test_support_size_is_the_number_of_equally_likely_samples():
    rng = np.random.default_rng(0)
    atoms = points(0, 400)
    drawn = atoms[rng.integers(400, size=2000)]
    assert support_size(own_distances(drawn, radius=1e-6)) == pytest.approx(400, rel=3 / np.sqrt(2000 * 1999 / 2 / 400))


def test_a_set_of_one_repeated_sample_repeats_wholly():
    same = np.full((10, 4), 0.3, dtype=np.float32)
    assert duplicate_radius(own_distances(same)) == 0
    assert near_duplicate_rate(own_distances(same, radius=0)) == 1
    assert support_size(own_distances(same, radius=0)) == 1


def test_one_far_sample_hides_no_copies_and_makes_none():
    x = points(0, 20)
    x[5] = 1e6
    assert near_duplicate_rate(own_distances(x, radius=1e-3)) == 0
    x[6] = x[7]
    assert near_duplicate_rate(own_distances(x, radius=1e-3)) == pytest.approx(0.1)


def test_a_single_sample_repeats_nothing():
    assert near_duplicate_rate(own_distances(points(0, 1), radius=10)) == 0
    assert support_size(own_distances(points(0, 1), radius=10)) == np.inf
    with pytest.raises(ValueError, match="there are 1"):
        duplicate_radius(own_distances(points(0, 1)))
