"""Does a per-step series oscillate? The most improbable peak of its spectrum over a smooth background, with a p-value.

The series is differenced, which removes drift, and brought to one local scale, so that bursts of noise do not look
like peaks; the differences' transfer function is divided out again. The spectrum is a multitaper one with sine tapers
(Thomson 1982, "Spectrum estimation and harmonic analysis"; Riedel & Sidorenko 1995, "Minimum bias multiple taper
spectral estimation"): of k tapers it has 2 k degrees of freedom and a bandwidth of (k + 1) / (steps + 1) cycles a step.

The background at a frequency is a line through log spectrum against log frequency on both sides of it, fitted with
the peak left out. Close by, any red, white or blue noise is such a line: an AR(1), but also a random walk under white
noise, which an AR(1) fitted to the whole spectrum (Mann & Lees 1996, "Robust estimation of background noise and signal
detection in climatic time series") does not follow. Two resolutions are looked at: narrow lines, and hills as wide as
those of generators that go from mode to mode. How often noise alarms, and what is missed, is measured:
`make bench-oscillation`.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHORTEST = 256
"""Steps below which nothing is said."""
LONGEST = 1024
"""Steps looked back at most: ten periods of 100."""
GRAIN = 32
"""The window is a multiple of this many steps, so that few designs are ever computed."""
SHORTEST_PERIOD = 5
"""Steps."""

OUTLIER_MADS = 5.0
OUTLIER_STEPS = 9
"""An outlier is judged by the median of as many steps around it."""
SCALE_SHARE = 12
"""The local scale is taken over the window's length over this."""
SMALLEST_SCALE = 0.05
"""Of the whole window's: a stretch of equal values has no scale of its own."""
PEAK_CAP = 3.0
"""Times the background: what a spectrum counts at most when the background is fitted a second time."""
CAUTION = 30.0
"""Factor on p-values, so that noise which is no power law within a flank, or bursts, alarm no more than they should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most improbable peak of a spectrum."""

    period: float
    """Steps."""
    share: float
    """Of the variance within the bandwidth, in [0, 1]; what is slower than the slowest period looked for is drift."""
    ratio: float
    """Spectrum over background."""
    p: float
    """Probability that noise without a peak has one as improbable anywhere among the periods looked for."""
    bandwidth: float
    """Cycles a step."""
    steps: int
    """Length of the window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How finely a spectrum is looked at."""

    tapers: int
    """2 or more; twice as many degrees of freedom."""
    periods: int
    """The slowest oscillation looked for has this many in the window."""
    flank: float
    """The background at f is fitted from f / flank to f x flank."""
    slow_flank: float
    """The flank at the slowest frequency, which narrows to `flank` as 1 + 1/f: enough frequencies must be in it."""
    hole: float
    """Of f: left out on either side; at least the bandwidth is."""
    over_both_sides: bool
    """Whether the peak must also stand over the mean of either side, as a hill does and no bend of the background."""


RESOLUTIONS = (
    Resolution(tapers=4, periods=8, flank=2.0, slow_flank=3.0, hole=0.2, over_both_sides=False),
    Resolution(tapers=8, periods=12, flank=3.0, slow_flank=3.0, hole=0.4, over_both_sides=True),
)
"""Lines, whose period hardly changes, and hills. Measured: other flanks and holes alarm more or miss more."""


@dataclass(frozen=True, slots=True)
class _Design:
    """What depends on the window's length and the resolution alone."""

    tapers: Array
    """[k, n]."""
    frequencies: Array
    """[m] above 0, in cycles a step."""
    candidates: slice
    """The frequencies looked at: c of them."""
    backgrounds: Array
    """[1 or 3, c, m]: from the log spectrum to that of the background, of which the highest counts."""
    freedom: Array
    """[c]: degrees of freedom of the background."""


def spectral_peak(series: NDArray[np.floating[Any]]) -> Peak | None:
    """The most improbable peak of the last steps.

    Args:
        series: [T]; the last LONGEST are looked at, or the largest multiple of GRAIN that there is.

    Returns:
        None where there are fewer than SHORTEST, some are not finite, or most equal the one before up to rounding.
    """
    lengths = [length // GRAIN * GRAIN for length in (min(len(series), LONGEST), min(len(series), LONGEST) // 2)]
    found = [
        _peak_at(flat, resolution)
        for n in lengths
        if n >= SHORTEST and (flat := _differences(series[len(series) - n :])) is not None
        for resolution in RESOLUTIONS
    ]
    best = min(found, key=lambda peak: (peak.p, -peak.ratio), default=None)
    return best and replace(best, p=min(1.0, len(found) * best.p))


def _differences(series: NDArray[np.floating[Any]]) -> Array | None:
    """Flat differences of a window; None where it says nothing."""
    window = np.asarray(series, np.float64)
    if not np.isfinite(window).all() or _is_constant(window):
        return None
    return _on_one_scale(np.diff(_without_outliers(window)))


def _peak_at(flat: Array, resolution: Resolution) -> Peak:
    """The most improbable peak of a window's flat differences at this resolution."""
    n, k = len(flat) + 1, resolution.tapers
    design = _design(n, resolution)
    spectrum = _spectrum(flat, design)
    ratio = _over_background(spectrum, design)
    tail = _f_tail(ratio, 2 * k, design.freedom)
    found = int(np.argmin(tail))
    first = resolution.periods - 1
    band = first + found + np.arange(-min(found, k // 2), k // 2 + 1)
    power = spectrum[band]
    return Peak(
        period=float(power.sum() / (power @ design.frequencies[band])),
        share=float(power.sum() / spectrum[first:].sum()),
        ratio=float(ratio[found]),
        p=float(min(1.0, CAUTION * len(ratio) / (k + 1) * tail[found])),
        bandwidth=(k + 1) / (n + 1),
        steps=n,
    )


def _is_constant(window: Array) -> bool:
    """Whether most steps change by no more than float32 rounds: a slow drift is then a staircase, which oscillates."""
    rounding = 8 * float(np.finfo(np.float32).eps) * float(np.median(np.abs(window)))
    return float(np.median(np.abs(np.diff(window)))) <= rounding


# --- from series to spectrum ------------------------------------------------------------------------------------


def _spectrum(flat: Array, design: _Design) -> Array:
    """[m]: the multitaper spectrum of the series that has these differences."""
    tapered = np.append(flat - flat.mean(), 0.0) * design.tapers
    spectrum = np.mean(np.abs(np.fft.rfft(tapered)[:, 1:]) ** 2, axis=0)
    spectrum = spectrum / (4 * np.sin(np.pi * design.frequencies) ** 2)
    return np.maximum(spectrum, 1e-20 * spectrum.max())  # a pure sine has frequencies without any power


def _without_outliers(window: Array) -> Array:
    """The window, its distance from the running median cut at OUTLIER_MADS (Hampel's filter)."""
    padded = np.pad(window, OUTLIER_STEPS // 2, mode="reflect")
    middle = np.median(sliding_window_view(padded, OUTLIER_STEPS), axis=1)
    return middle + _cut(window - middle)


def _cut(values: Array) -> Array:
    most = OUTLIER_MADS * 1.4826 * float(np.median(np.abs(values)))
    return np.clip(values, -most, most) if most > 0 else values


def _on_one_scale(steps: Array) -> Array:
    """Differences over their local root mean square; a jump counts OUTLIER_MADS at most."""
    steps = _cut(steps)
    weights = np.hanning((len(steps) + 1) // SCALE_SHARE + 2)[1:-1]
    local = np.convolve(steps**2, weights, "same") / np.convolve(np.ones_like(steps), weights, "same")
    return steps / np.sqrt(np.maximum(local, (SMALLEST_SCALE**2) * np.mean(steps**2)))


# --- from spectrum to probability -------------------------------------------------------------------------------


def _over_background(spectrum: Array, design: _Design) -> Array:
    """[c]: spectrum over background, which is fitted again with what stands out of it capped."""
    k = len(design.tapers)
    logs = np.log(spectrum) + np.log(k) - _digamma(k)  # unbiased
    capped = logs.copy()
    background = (design.backgrounds @ logs).max(axis=0)
    capped[design.candidates] = np.minimum(logs[design.candidates], background + np.log(PEAK_CAP))
    return spectrum[design.candidates] / np.exp((design.backgrounds @ capped).max(axis=0))


def _f_tail(values: Array, above: int, below: Array) -> Array:
    """P(F > value) of Fisher's distribution with an even number of degrees of freedom above the line.

    The regularised incomplete beta function with a whole second parameter: a finite sum.
    """
    z = below / (below + above * values)
    term = np.ones_like(z)
    total = term.copy()
    for i in range(1, above // 2):
        term = term * (below / 2 + i - 1) / i * (1 - z)
        total = total + term
    return z ** (below / 2) * total


@lru_cache(maxsize=64)  # all that there are: 45 MB, where histories of every length are judged one after another
def _design(n: int, resolution: Resolution) -> _Design:
    """The design of n steps, n even."""
    k = resolution.tapers
    bins = np.arange(1, n // 2 + 1)
    tapers = np.sqrt(2 / (n + 1)) * np.sin(np.pi * np.outer(np.arange(1, k + 1), np.arange(1, n + 1)) / (n + 1))
    candidates = slice(resolution.periods - 1, n // SHORTEST_PERIOD)
    backgrounds = np.stack([_backgrounds_at(int(j), bins, resolution) for j in bins[candidates]], axis=1)
    contrast = np.eye(len(bins))[candidates] - backgrounds[0]
    covariance = _trigamma(k) * _coherence(tapers)[np.abs(bins[:, None] - bins)]
    variance = np.maximum(((contrast @ covariance) * contrast).sum(axis=1) - _trigamma(k), 0.01 * _trigamma(k))
    # the degrees of freedom whose log χ² has that variance: trigamma(x) = 1/x + 1/(2 x²) + …
    freedom = (1 + np.sqrt(1 + 2 * variance)) / variance
    return _Design(tapers, bins / n, candidates, backgrounds, freedom)


def _backgrounds_at(j: int, bins: NDArray[np.int64], resolution: Resolution) -> Array:
    """[1 or 3, m]: weights of the line through log spectrum against log frequency at j, and of either side's mean."""
    flank = max(resolution.flank, 1 + (resolution.slow_flank - 1) * resolution.periods / j)
    outside_hole = np.abs(bins - j) > max(resolution.tapers / 2 + 1, resolution.hole * j)
    weights = ((bins >= j / flank) & (bins <= j * flank) & outside_hole) / bins  # an octave below counts as one above
    x = np.log(bins / j)
    s0, s1, s2 = weights.sum(), weights @ x, weights @ x**2
    line = weights * (s2 - s1 * x) / (s0 * s2 - s1**2)
    if not resolution.over_both_sides:
        return line[None]
    below, above = weights * (bins < j), weights * (bins > j)
    return np.stack([line, below / below.sum(), above / above.sum()])


def _coherence(tapers: Array) -> Array:
    """[m]: squared correlation of the spectrum of white noise with itself so many bins away."""
    k, n = len(tapers), int(tapers.shape[1])
    near = np.exp(-2j * np.pi * np.outer(np.arange(4 * k), np.arange(n)) / n)
    products = np.einsum("kt,lt,bt->bkl", tapers, tapers, near)
    return np.pad(np.sum(np.abs(products) ** 2, axis=(1, 2)) / k, (0, n // 2 - 4 * k))


def _digamma(k: int) -> float:
    return -0.5772156649015329 + sum(1 / i for i in range(1, k))


def _trigamma(k: int) -> float:
    return np.pi**2 / 6 - sum(1 / i**2 for i in range(1, k))
