"""Trends: against scipy's Kendall and Theil-Sen, all orders of a few values, and correlated noise."""

import itertools
import math

import numpy as np
import pytest
from scipy import signal, stats

from ganlib.diagnosis.statistics import trend as module
from ganlib.diagnosis.statistics.trend import EXACT_BELOW, FEWEST, Projection, projection, trend


def autoregression(rng, m, n, rho):
    return np.asarray(signal.lfilter([1.0], [1.0, -rho], rng.standard_normal((m, n + 200))))[:, 200:]


# --- Mann-Kendall -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(FEWEST, EXACT_BELOW))
def test_few_values_have_kendalls_exact_p(n):
    rng = np.random.default_rng(n)
    for _ in range(20):
        values = rng.standard_normal(n) + rng.uniform(-1, 1) * np.arange(n)
        found = trend(values)
        assert found is not None
        for alternative, p in (("greater", found.p_rising), ("less", found.p_falling)):
            reference = stats.kendalltau(np.arange(n), values, method="exact", alternative=alternative)[1]
            assert p == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize("values", [(1, 2, 2, 3, 3, 3), (0, 0, 1, 1, 0), (5, 5, 5, 5, 5, 6, 4), (1, 2, 3, 3, 3, 4, 5)])
def test_few_values_with_ties_have_the_p_of_all_their_orders(values):
    scores = [
        sum(np.sign(b - a) for a, b in itertools.combinations(order, 2)) for order in itertools.permutations(values)
    ]
    score = sum(np.sign(b - a) for a, b in itertools.combinations(values, 2))
    found = trend(np.array(values, np.float64))
    assert found is not None
    assert found.p_rising == pytest.approx(np.mean(np.array(scores) >= score))
    assert found.p_falling == pytest.approx(np.mean(np.array(scores) <= score))


def test_many_independent_values_have_kendalls_p():
    values = np.random.default_rng(3).standard_normal(60) + 0.01 * np.arange(60)
    score, spread = module._score(values), math.sqrt(module._variance(values))
    reference = stats.kendalltau(np.arange(60), values, method="asymptotic", alternative="greater")[1]
    assert stats.norm.sf(score / spread) == pytest.approx(reference)  # it does not correct for continuity


def test_ties_lessen_the_variance_as_scipy_has_it():
    values = np.round(np.random.default_rng(4).standard_normal(40))
    score, spread = module._score(values), math.sqrt(module._variance(values))
    reference = stats.kendalltau(np.arange(40), values, method="asymptotic")[1]
    assert 2 * stats.norm.sf(abs(score) / spread) == pytest.approx(reference)


@pytest.mark.parametrize("n", [12, 50])
def test_correlated_noise_seldom_has_a_trend(n):
    rng = np.random.default_rng(5)
    for rho, most in ((0.0, 0.1), (0.3, 0.11), (0.6, 0.13)):
        found = [trend(values) for values in autoregression(rng, 250, n, rho)]
        assert np.mean([f.p_rising < 0.05 for f in found if f is not None]) < most


def test_correlation_widens_p():
    values = autoregression(np.random.default_rng(6), 1, 50, 0.8)[0] + 0.05 * np.arange(50)
    found = trend(values)
    assert found is not None
    plain = np.asarray(stats.kendalltau(np.arange(50), values, alternative="greater"))[1]
    assert found.p_rising > 2 * plain


def test_rising_and_falling_mirror_each_other():
    values = np.random.default_rng(7).standard_normal(20).cumsum()
    found, mirrored = trend(values), trend(-values)
    assert found is not None
    assert mirrored is not None
    assert (found.slope, found.low, found.high) == (-mirrored.slope, -mirrored.high, -mirrored.low)
    assert found.p_rising == mirrored.p_falling


def test_a_constant_series_has_no_trend():
    for n in (6, 30):
        found = trend(np.full(n, 0.25))
        assert found is not None
        assert (found.slope, found.low, found.high, found.p_rising, found.p_falling) == (0, 0, 0, 1, 1)


@pytest.mark.parametrize("n", [6, 40])
def test_a_series_that_always_rises_is_as_certain_as_its_length_allows(n):
    found = trend(np.arange(n) + np.random.default_rng(n).uniform(0, 0.9, n))
    assert found is not None
    assert found.p_rising == pytest.approx(1 / math.factorial(n)) if n < EXACT_BELOW else found.p_rising < 1e-3
    assert found.p_falling > 0.99


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0, 4.0], [], [1.0, 2.0, np.nan, 3.0, 4.0, 5.0], [1.0, np.inf] * 5])
def test_too_few_or_broken_values_say_nothing(values):
    assert trend(np.array(values)) is None


# --- Theil-Sen --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 9, 15, 40])
@pytest.mark.parametrize("decimals", [0, 6])
def test_slope_and_interval_are_those_of_scipy(n, decimals, monkeypatch):
    monkeypatch.setattr(module, "_inflation", lambda *_: 1.0)  # it knows no serial correlation
    rng = np.random.default_rng([n, decimals])
    at = np.cumsum(rng.integers(1, 4, n)).astype(np.float64)
    values = np.round(0.5 * at + 2 * rng.standard_normal(n), decimals)
    slope, _, low, high = stats.theilslopes(values, at, 0.95)
    assert module.sen_slope(at, values) == pytest.approx((slope, low, high))


# --- projection -------------------------------------------------------------------------------------------------


def test_a_line_reaches_its_target_when_it_should():
    epochs = np.arange(2, 32, 2)
    line = projection(epochs, 0.1 + 0.01 * epochs)
    assert line is not None
    assert line.n == 5
    assert line.level == pytest.approx(0.4)
    remaining = line.projected_epochs(0.6)
    assert remaining.soonest == pytest.approx(20)
    assert remaining.expected == pytest.approx(20)
    assert remaining.latest == pytest.approx(20)


def test_a_projection_looks_at_the_last_third():
    epochs = np.arange(30)
    line = projection(epochs, np.where(epochs < 20, epochs, 20.0))
    assert line is not None
    assert (line.slope, line.n) == (0, 10)


def test_what_moves_away_never_arrives():
    falling = Projection(level=0.5, slope=-0.01, low=-0.02, high=-0.005, n=8)
    assert falling.projected_epochs(0.6).soonest == math.inf
    assert falling.projected_epochs(0.4).expected == pytest.approx(10)
    assert falling.projected_epochs(0.5).latest == 0


def test_an_uncertain_slope_may_never_arrive():
    unsure = Projection(level=0.5, slope=0.01, low=-0.01, high=0.02, n=8)
    remaining = unsure.projected_epochs(0.6)
    assert remaining.soonest == pytest.approx(5)
    assert remaining.expected == pytest.approx(10)
    assert remaining.latest == math.inf


def test_too_few_evaluations_have_no_projection():
    assert projection(np.arange(4), np.arange(4.0)) is None
    assert projection(np.arange(6), np.array([0, 1, 2, 3, 4, np.nan])) is None
