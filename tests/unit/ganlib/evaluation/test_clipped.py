"""Clipped density and coverage, against a direct computation, and that they fall in a straight line."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import betabinom  # pyright: ignore[reportUnknownVariableType]

from ganlib.evaluation.measures.clipped import expected_coverage
from ganlib.evaluation.measures.neighbours import prdc


def direct(reals: NDArray[np.float32], fakes: NDArray[np.float32], k: int) -> tuple[float, float]:
    """Both figures as the paper has them, from whole matrices of distances."""
    among, between = cdist(reals, reals), cdist(reals, fakes)
    radii = np.sort(among, axis=1)[:, k]
    small = np.minimum(radii, np.median(radii))
    np.fill_diagonal(among, np.inf)
    of_fakes = np.minimum((between <= small[:, None]).sum(0) / k, 1).mean()
    of_reals = np.minimum((among <= small[:, None] * (1 + 1e-12)).sum(0) / k, 1).mean()
    held = np.minimum((between < radii[:, None]).sum(1), k)
    expected = [brute_expectation(m, k, len(reals)) for m in range(len(fakes) + 1)]
    return min(of_fakes / of_reals, 1.0), np.searchsorted(expected, held.mean() / k - 1e-12) / len(expected)


def brute_expectation(m: int, k: int, n: int) -> float:
    counts = np.arange(m + 1)
    return float((np.minimum(counts, k) * betabinom.pmf(counts, m, k, n - k)).sum() / k)


@example(seed=2, d=2, k=6, shift=1.0)  # two reals that are each other's k-th neighbour are the median
@example(seed=2, d=3, k=6, shift=2.0)  # as many are covered as so many good fakes would cover on average
@given(seed=st.integers(0, 1000), d=st.integers(2, 20), k=st.integers(1, 6), shift=st.floats(0, 2))
@settings(deadline=None, max_examples=20)
def test_both_figures_are_those_of_the_paper(seed: int, d: int, k: int, shift: float):
    rng = np.random.default_rng(seed)
    reals = rng.normal(size=(60, d)).astype(np.float32)
    fakes = (rng.normal(size=(45, d)) + shift).astype(np.float32)
    found = prdc(reals, fakes, k)
    density, coverage = direct(reals, fakes, k)
    assert found.clipped_density == pytest.approx(density, abs=1e-9)
    assert found.clipped_coverage == pytest.approx(coverage, abs=1e-9)


def test_the_expectation_is_that_of_a_beta_binomial():
    expected = expected_coverage(5, 200, 150)
    for m in (0, 1, 4, 5, 6, 80, 150):
        assert expected[m] == pytest.approx(brute_expectation(m, 5, 200), abs=1e-9)
    assert (np.diff(expected) >= 0).all()


@pytest.mark.parametrize("bad", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_they_fall_in_a_straight_line_with_the_share_of_bad_fakes(bad: float):
    """n = 40 pairs of sets; the standard error of a mean of 40 is below .01."""
    found: list[tuple[float, float]] = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        reals = rng.normal(size=(200, 8)).astype(np.float32)
        fakes = rng.normal(size=(200, 8)).astype(np.float32)
        fakes[: int(200 * bad)] += 50
        figures = prdc(reals, fakes, 5)
        found.append((figures.clipped_density, figures.clipped_coverage))
    assert np.mean(found, axis=0) == pytest.approx([1 - bad, 1 - bad], abs=0.05)


def test_one_outlier_among_the_reals_makes_no_noise_good():
    rng = np.random.default_rng(0)
    reals = rng.normal(size=(300, 4)).astype(np.float32)
    reals[0] = 30
    noise = (30 + rng.normal(0, 3, size=(300, 4))).astype(np.float32)
    found = prdc(reals, noise, 5)
    assert found.precision > 0.9, "the outlier's ball holds all of the noise"
    assert found.clipped_density == 0.0


def test_copies_of_one_real_cover_little():
    rng = np.random.default_rng(0)
    reals = rng.normal(size=(300, 4)).astype(np.float32)
    copies = (reals[:1] + rng.normal(0, 1e-4, size=(300, 4))).astype(np.float32)
    found = prdc(reals, copies, 5)
    assert found.clipped_coverage < 0.05
