"""Nearest-neighbour measures against the package prdc."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prdc import compute_prdc

from ganlib.evaluation.measures import neighbours
from ganlib.evaluation.measures.neighbours import Prdc, own_distances, prdc


@given(seed=st.integers(0, 1000), d=st.integers(1, 40), k=st.integers(1, 7), shift=st.floats(0, 2))
@settings(deadline=None, max_examples=25)
def test_all_four_figures_are_those_of_prdc(seed, d, k, shift):
    rng = np.random.default_rng(seed)
    real = rng.normal(size=(90, d)).astype(np.float32)
    fake = (rng.normal(size=(70, d)) + shift).astype(np.float32)
    expected = compute_prdc(real, fake, k)
    found = prdc(real, fake, k)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-6), name


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    real, fake = (rng.normal(size=(60, 5)).astype(np.float32) for _ in range(2))
    whole, distance = prdc(real, fake, 5), neighbours.median_nearest_distance(own_distances(fake, [1]))
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    assert prdc(real, fake, 5) == whole
    assert neighbours.median_nearest_distance(own_distances(fake, [1])) == distance


def test_constant_features_lie_in_no_ball():
    same = np.ones((20, 3), dtype=np.float32)
    assert prdc(same, same, 5) == Prdc(
        precision=0, recall=0, density=0, coverage=0, clipped_density=0, clipped_coverage=0
    )


def test_noise_has_recall_and_nothing_else():
    rng = np.random.default_rng(0)
    reals = rng.normal(0, 0.1, (300, 50)).astype(np.float32)
    noise = rng.normal(0, 3, (300, 50)).astype(np.float32)
    found = prdc(reals, noise, 5)
    assert (found.precision, found.coverage, found.recall) == (0, 0, 1)


def test_repeated_samples_have_distance_zero():
    assert neighbours.median_nearest_distance(own_distances(np.ones((50, 3), dtype=np.float32), [1])) == 0
