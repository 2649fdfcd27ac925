"""Oscillation: against scipy's periodograms, known sines, noise of many kinds, and input that says nothing."""

import time

import numpy as np
import pytest
from scipy import signal, stats

from ganlib.diagnosis.statistics import oscillation
from ganlib.diagnosis.statistics.oscillation import LONGEST, RESOLUTIONS, SHORTEST, spectral_peak

ALPHA = 0.001


def red_noise(rng, n, rho):
    innovations = rng.standard_normal(n + 500)
    return np.asarray(signal.lfilter([1.0], [1.0, -rho], innovations))[500:] * np.sqrt(1 - rho**2)


def sine(n, period, amplitude=1.0, phase=0.3):
    return amplitude * np.sin(2 * np.pi * np.arange(n) / period + phase)


def alarms(peaks):
    return sum(peak.p < ALPHA for peak in peaks)


# --- what is there is found -------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [5, 8, 16, 25, 50, 100])
@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_a_sine_as_large_as_the_noise_is_found_with_its_period(period, rho):
    rng = np.random.default_rng(period)
    peak = spectral_peak(red_noise(rng, 1024, rho) + sine(1024, period, 1.5))
    assert peak is not None
    assert peak.p < ALPHA
    assert abs(1 / peak.period - 1 / period) < peak.bandwidth / 2


def test_the_published_period_is_found_over_drift_with_a_step_and_spikes():
    rng = np.random.default_rng(0)
    series = rng.standard_normal(1000) + sine(1000, 25) + np.linspace(8, 2, 1000) + 10 * (np.arange(1000) > 400)
    series[[100, 555, 800]] += 100
    peak = spectral_peak(series.astype(np.float32))
    assert peak is not None
    assert peak.p < ALPHA
    assert peak.period == pytest.approx(25, rel=0.05)


@pytest.mark.parametrize("period", [16, 40])
def test_an_oscillation_whose_period_wanders_is_found(period):
    rng = np.random.default_rng(2)
    rate = (1 + 0.2 * np.sin(2 * np.pi * np.arange(1024) / 1024)) / period
    peak = spectral_peak(rng.standard_normal(1024) + np.sin(2 * np.pi * np.cumsum(rate)))
    assert peak is not None
    assert peak.p < ALPHA
    assert peak.period == pytest.approx(period, rel=0.25)


def test_an_oscillation_of_the_last_half_is_found():
    rng = np.random.default_rng(3)
    peak = spectral_peak(rng.standard_normal(1024) + sine(1024, 25) * (np.arange(1024) >= 512))
    assert peak is not None
    assert peak.p < ALPHA


def test_spikes_at_equal_distances_are_an_oscillation():
    rng = np.random.default_rng(4)
    peak = spectral_peak(rng.standard_normal(1024) + 8 * (np.arange(1024) % 25 == 0))
    assert peak is not None
    assert peak.p < ALPHA
    assert 25 / peak.period == pytest.approx(round(25 / peak.period), abs=0.1)  # or one of its harmonics


def test_only_the_last_steps_count():
    rng = np.random.default_rng(5)
    past = np.concatenate([100 * sine(5000, 25), rng.standard_normal(LONGEST)])
    assert spectral_peak(past) == spectral_peak(past[-LONGEST:])
    assert spectral_peak(past[-1000:]) == spectral_peak(past[-992:])


def test_level_and_unit_of_the_series_do_not_matter():
    series = red_noise(np.random.default_rng(6), 512, 0.5) + sine(512, 20)
    peak, other = spectral_peak(series), spectral_peak(-1e3 * series + 1e4)
    assert peak is not None
    assert other is not None
    assert other.p == pytest.approx(peak.p, rel=1e-6)
    assert other.share == pytest.approx(peak.share)


# --- what is not there is not -----------------------------------------------------------------------------------

NOISE = {
    "white": lambda rng, n: rng.standard_normal(n),
    "blue": lambda rng, n: red_noise(rng, n, -0.3),
    "red": lambda rng, n: red_noise(rng, n, 0.9),
    "reddest": lambda rng, n: red_noise(rng, n, 0.99),
    "smooth": lambda rng, n: red_noise(rng, n, 0.9) + signal.lfilter([1.0], [1.0, -0.5], red_noise(rng, n, 0.9)),
    "walk": lambda rng, n: rng.standard_normal(n).cumsum(),
    "walk under white": lambda rng, n: 0.1 * rng.standard_normal(n).cumsum() + rng.standard_normal(n),
    "heavy tails": lambda rng, n: rng.standard_t(3, n),
    "step": lambda rng, n: rng.standard_normal(n) + 20 * (np.arange(n) > n // 3),
    "decay": lambda rng, n: rng.standard_normal(n) + 30 * np.exp(-15 * np.arange(n) / n),
    "slow decay": lambda rng, n: rng.standard_normal(n) + 30 / (1 + 100 * np.arange(n) / n),
    "fading": lambda rng, n: rng.standard_normal(n) * np.exp(-3 * np.arange(n) / n),
    "burst": lambda rng, n: rng.standard_normal(n) * np.where(np.arange(n) // (n // 8) == 4, 10, 1),
}


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("n", [256, 1024])
def test_noise_of_any_kind_does_not_oscillate(noise, n):
    rng = np.random.default_rng([n, *noise.encode()])
    peaks = [spectral_peak(NOISE[noise](rng, n).astype(np.float32)) for _ in range(50)]
    assert alarms([peak for peak in peaks if peak is not None]) <= 1  # 2 or more: 1 time in 800 at a rate of .001
    assert None not in peaks


# --- parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_the_spectrum_is_the_mean_of_scipys_periodograms_of_the_tapered_series(resolution):
    n = 256
    design = oscillation._design(n, resolution)
    flat = np.random.default_rng(0).standard_normal(n - 1)
    series = np.append(flat - flat.mean(), 0)
    periodograms = [signal.periodogram(series, window=taper)[1][1:] for taper in design.tapers]
    # scipy counts both signs of a frequency together, but for the highest, which has one
    expected = np.mean(periodograms, axis=0) / np.append(np.full(n // 2 - 1, 2.0), 1.0)
    expected /= 4 * np.sin(np.pi * design.frequencies) ** 2
    np.testing.assert_allclose(oscillation._spectrum(flat, design), expected, rtol=1e-9)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_tapers_are_orthonormal_and_leave_2_degrees_of_freedom_each(resolution):
    design = oscillation._design(512, resolution)
    k = resolution.tapers
    np.testing.assert_allclose(design.tapers @ design.tapers.T, np.eye(k), atol=1e-12)
    rng = np.random.default_rng(0)
    power = [np.mean(np.abs(np.fft.rfft(rng.standard_normal(512) * design.tapers)[:, 100]) ** 2) for _ in range(2000)]
    assert stats.kstest(np.array(power) * 2 * k, stats.chi2(2 * k).cdf).pvalue > 0.01


def test_the_background_of_any_power_law_is_itself():
    for resolution in RESOLUTIONS:
        design = oscillation._design(512, resolution)
        for slope in (-2.0, 0.0, 1.0):
            logs = slope * np.log(design.frequencies)
            np.testing.assert_allclose(design.backgrounds[0] @ logs, logs[design.candidates], atol=1e-9)


def test_the_tail_of_fishers_distribution_is_that_of_scipy():
    values, below = np.array([0.1, 1.0, 3.7, 50.0]), np.array([7.3, 12.0, 40.5, 400.0])
    for above in (8, 16):
        np.testing.assert_allclose(
            oscillation._f_tail(values, above, below), stats.f(above, below).sf(values), rtol=1e-9
        )


def test_an_oscillations_share_is_that_of_its_variance():
    rng = np.random.default_rng(1)
    shares = [
        peak.share
        for _ in range(20)
        if (peak := spectral_peak(rng.standard_normal(1024) + sine(1024, 20, 2.0))) is not None
    ]
    assert np.mean(shares) == pytest.approx(2 / 3, abs=0.1)  # 2² / 2 over that and 1


# --- what says nothing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "series",
    [
        np.zeros(0, np.float32),
        np.random.default_rng(0).standard_normal(SHORTEST - 1),
        np.full(1000, 0.7, np.float32),
        (np.arange(1000) % 25 == 0).astype(np.float32),
        np.linspace(1000, 1000.002, 1000, dtype=np.float32),  # a staircase of roundings
        np.append(np.random.default_rng(0).standard_normal(999), np.nan),
        np.append(np.random.default_rng(0).standard_normal(999), np.inf),
    ],
    ids=["empty", "short", "constant", "mostly constant", "rounding", "not a number", "infinite"],
)
def test_a_series_that_says_nothing_has_no_peak(series):
    assert spectral_peak(series) is None


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_tiny_and_huge_losses_are_judged_like_others(size):
    peak = spectral_peak((size * (sine(512, 20) + red_noise(np.random.default_rng(0), 512, 0.0))).astype(np.float32))
    assert peak is not None
    assert peak.p < ALPHA


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_few_large_spikes_do_not_oscillate(count, noise):
    rng = np.random.default_rng(count)
    for _ in range(10):
        series = noise * rng.standard_normal(1024)
        series[rng.choice(1024, count, replace=False)] += 1000
        peak = spectral_peak(series.astype(np.float32))
        assert (peak is None) if noise == 0 else (peak is not None and peak.p >= ALPHA)


def test_a_pure_sine_is_certain():
    peak = spectral_peak(sine(1024, 25).astype(np.float32))
    assert peak is not None
    assert peak.p < 1e-20
    assert peak.share > 0.8


def test_a_thousand_steps_cost_milliseconds():
    series = np.random.default_rng(0).standard_normal(1024).astype(np.float32)
    spectral_peak(series)
    times = []
    for _ in range(30):
        started = time.perf_counter()
        spectral_peak(series)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.01  # about 1 ms on a free core
