"""How often does noise alarm as an oscillation or as a trend, and which oscillations are missed?

    make bench-oscillation   # writes bench/results/oscillation.json

False alarms are counted at p < ALPHA for kinds of noise without a peak: AR(1), smoother noise, random walks under white
noise, heavy tails, drift, noise whose size changes. Power is counted for a sine in AR(1) noise of variance 1 whose
period stays, changes slowly by ±20 %, or which starts in the middle of the window. Trends are tested on AR(1) noise
and on such noise with a rise.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter  # pyright: ignore[reportUnknownVariableType]
from scipy.stats import beta

from bench import results
from ganlib.diagnosis.statistics.oscillation import spectral_peak
from ganlib.diagnosis.statistics.trend import trend
from ganlib.diagnosis.thresholds import PERIODIC, SWINGING

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Array]
"""(rng, number of series, steps) to [number, steps]."""

ALPHA = PERIODIC.value
SHARE = SWINGING.value  # of the variance: the gate beside p that runs are judged with
LENGTHS = {1024: 3_000, 512: 3_000, 256: 3_000}  # steps to series of each kind of noise
POWER_SERIES = 200
TREND_SERIES = 5_000
TREND_LENGTHS = (8, 12, 20, 50)  # evaluations
CHUNK = 500
BURN_IN = 1000


def filtered(
    rng: np.random.Generator,
    m: int,
    n: int,
    poles: tuple[float, ...],
    zeros: tuple[float, ...] = (),
    df: float = np.inf,
) -> Array:
    """ARMA noise of variance about 1; innovations of Student's t where df is finite."""
    shape = (m, n + BURN_IN)
    innovations = rng.standard_normal(shape) if np.isinf(df) else rng.standard_t(df, shape)
    series = np.asarray(lfilter(np.poly(zeros), np.poly(poles), innovations))[:, BURN_IN:]
    return series / series.std()


def walk(rng: np.random.Generator, m: int, n: int, step: float, white: float = 1.0) -> Array:
    """A random walk of this step under white noise."""
    return step * rng.standard_normal((m, n)).cumsum(1) + white * rng.standard_normal((m, n))


def drifting(rng: np.random.Generator, m: int, n: int, shape: Callable[[Array], Array]) -> Array:
    """White noise on a curve of time in [0, 1)."""
    return rng.standard_normal((m, n)) + shape(np.arange(n) / n)


def step_change(rng: np.random.Generator, m: int, n: int, size: float) -> Array:
    """White noise with a step anywhere in the middle four fifths."""
    at = rng.uniform(0.1, 0.9, (m, 1))
    return rng.standard_normal((m, n)) + size * (np.arange(n) / n > at)


def burst(rng: np.random.Generator, m: int, n: int, size: float, rho: float) -> Array:
    """AR(1) noise that is larger over an eighth of the window."""
    at = rng.uniform(0, 0.875, (m, 1))
    time_ = np.arange(n) / n
    return filtered(rng, m, n, (rho,)) * np.where((time_ >= at) & (time_ < at + 0.125), size, 1.0)


def fading(rng: np.random.Generator, m: int, n: int) -> Array:
    """White noise that falls to a twentieth."""
    return rng.standard_normal((m, n)) * np.exp(-3 * np.arange(n) / n)


def volatile(rng: np.random.Generator, m: int, n: int) -> Array:
    """White noise whose log scale is an AR(1) of standard deviation 1."""
    return rng.standard_normal((m, n)) * np.exp(filtered(rng, m, n, (0.98,)))


def spiky(rng: np.random.Generator, m: int, n: int) -> Array:
    """White noise with single spikes of 30 standard deviations."""
    return rng.standard_normal((m, n)) + 30 * (rng.random((m, n)) < 0.003)


def skewed(rng: np.random.Generator, m: int, n: int) -> Array:
    """An AR(1) with exponential innovations."""
    return np.asarray(lfilter([1.0], [1.0, -0.7], rng.exponential(1.0, (m, n + BURN_IN))))[:, BURN_IN:]


NULLS: dict[str, Draw] = {
    **{
        f"AR(1), ρ = {rho:g}": partial(filtered, poles=(rho,))
        for rho in (-0.3, 0, 0.3, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
    },
    "AR(2), real roots .9 and .5": partial(filtered, poles=(0.9, 0.5)),
    "AR(2), real roots .95 and .8": partial(filtered, poles=(0.95, 0.8)),
    "ARMA(2,1), .9 and .5, moving average .4": partial(filtered, poles=(0.9, 0.5), zeros=(-0.4,)),
    **{f"random walk of {step:g} under white noise": partial(walk, step=step) for step in (0.02, 0.1, 0.3, 1)},
    "random walk": partial(walk, step=1, white=0),
    "t, 3 degrees of freedom": partial(filtered, poles=(0,), df=3),
    "AR(1), ρ = .9, t with 3 degrees of freedom": partial(filtered, poles=(0.9,), df=3),
    "AR(1), ρ = .7, exponential innovations": skewed,
    **{f"step of {size:g}": partial(step_change, size=size) for size in (3, 30)},
    **{f"decay from {a:g}": partial(drifting, shape=lambda t, a=a: a * np.exp(-15 * t)) for a in (3, 30)},
    **{f"1/t decay from {a:g}": partial(drifting, shape=lambda t, a=a: a / (1 + 100 * t)) for a in (3, 30)},
    "trend of 20": partial(drifting, shape=lambda t: 20 * t),
    "fading noise": fading,
    "burst, ten times as large": partial(burst, size=10, rho=0),
    "burst, three times as large, on AR(1), ρ = .9": partial(burst, size=3, rho=0.9),
    "noise of changing size": volatile,
    "spikes": spiky,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sine:
    """An oscillation in noise."""

    rho: float
    period: float
    amplitude: float
    kind: str
    """steady, changing or late."""

    def draw(self, rng: np.random.Generator, m: int, n: int) -> Array:
        """[m, n]: the series, of random phase."""
        t = np.arange(n)
        phase = rng.uniform(0, 2 * np.pi, (m, 1))
        rate = 1 + 0.2 * np.sin(2 * np.pi * t / n + phase) if self.kind == "changing" else np.ones((m, n))
        sine = self.amplitude * np.sin(2 * np.pi * np.cumsum(rate, axis=1) / self.period + phase)
        return filtered(rng, m, n, (self.rho,)) + (sine * (t >= n // 2) if self.kind == "late" else sine)


def sines() -> Iterator[Sine]:
    """Every oscillation whose power is measured."""
    for rho in (0.0, 0.7):
        for period in (8, 16, 25, 50, 100):
            for amplitude in (0.3, 0.5, 1.0):
                for kind in ("steady", "changing", "late"):
                    yield Sine(rho=rho, period=period, amplitude=amplitude, kind=kind)


def peaks(draw: Draw, m: int, n: int, seed: int) -> Array:
    """[m, 3]: p, share and period of each series."""
    rng = np.random.default_rng([seed, n])
    found = [spectral_peak(series.astype(np.float32)) for size in _chunks(m) for series in draw(rng, size, n)]
    return np.array([(f.p, f.share, f.period) if f is not None else (1.0, 0.0, 0.0) for f in found])


def false_alarms(job: tuple[str, int]) -> dict[str, Any]:
    """A row: how often a kind of noise alarms at a length."""
    name, n = job
    m = LENGTHS[n]
    found = peaks(NULLS[name], m, n, list(NULLS).index(name))
    alarms = int((found[:, 0] < ALPHA).sum())
    return {
        "noise": name,
        "steps": n,
        "n": m,
        "alarms": alarms,
        "alarms_with_share": int(((found[:, 0] < ALPHA) & (found[:, 1] >= SHARE)).sum()),
        "rate": alarms / m,
        "rate_upper_95": round(float(beta.ppf(0.95, alarms + 1, m - alarms)), 5),
        "rate_at_p_01": float((found[:, 0] < 0.01).mean()),
    }


def power(job: tuple[Sine, int]) -> dict[str, Any]:
    """A row: how often an oscillation is found, with a period that is right to a quarter."""
    sine, n = job
    found = peaks(sine.draw, POWER_SERIES, n, 1000)
    right = np.abs(np.log(np.maximum(found[:, 2], 1e-9) / sine.period)) < np.log(1.25)
    alarms = (found[:, 0] < ALPHA) & right
    return {
        "ρ": sine.rho,
        "period": sine.period,
        "amplitude": sine.amplitude,
        "kind": sine.kind,
        "steps": n,
        "power": round(float(alarms.mean()), 3),
        "power_with_share": round(float((alarms & (found[:, 1] >= SHARE)).mean()), 3),
        "median_share": round(float(np.median(found[:, 1])), 3),
        "n": POWER_SERIES,
    }


def trends(job: tuple[int, float]) -> dict[str, Any]:
    """A row: how often a trend is seen in AR(1) noise, and how often the interval holds the slope."""
    n, rho = job
    rng = np.random.default_rng([n, int(10 * rho)])
    noise = filtered(rng, TREND_SERIES, n, (rho,))
    found = [trend(series) for series in noise]
    risen = [trend(series) for series in noise[:1000] + 2 * np.arange(n) / (n - 1)]
    rising = np.array([f.p_rising for f in found if f is not None])
    return {
        "evaluations": n,
        "ρ": rho,
        "n": len(rising),
        "rate_at_p_05": float((rising < 0.05).mean()),
        "rate_at_p_01": float((rising < 0.01).mean()),
        "interval_holds_slope": float(np.mean([f.low <= 0 <= f.high for f in found if f is not None])),
        "power_at_p_05_of_a_rise_of_2": float(np.mean([f.p_rising < 0.05 for f in risen if f is not None])),
    }


def cost_ms() -> dict[str, float]:
    """Milliseconds a call, for each length: the median of 100 after the first."""
    table: dict[str, float] = {}
    for n in LENGTHS:
        series = np.random.default_rng(0).standard_normal(n).astype(np.float32)
        spectral_peak(series)
        times: list[float] = []
        for _ in range(100):
            started = time.perf_counter()
            spectral_peak(series)
            times.append(time.perf_counter() - started)
        table[str(n)] = round(1e3 * float(np.median(times)), 3)
    return table


def _chunks(m: int) -> list[int]:
    return [min(CHUNK, m - start) for start in range(0, m, CHUNK)]


def main() -> None:
    """Count, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    nulls: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for row in pool.imap(false_alarms, [(name, n) for n in LENGTHS for name in NULLS]):
            nulls.append(row)
            print(f"{row['steps']:5d} {row['noise']:45s} {row['alarms']:4d} of {row['n']}", flush=True)
        powers = pool.map(
            power, [(sine, n) for n in (1024, 256) for sine in sines() if 12 * sine.period <= n or n > 256]
        )
        found = pool.map(trends, [(n, rho) for n in TREND_LENGTHS for rho in (0.0, 0.3, 0.6)])
    print(
        results.write(
            "oscillation",
            {
                "alpha": ALPHA,
                "share": SHARE,
                "cost_ms": cost_ms(),
                "false_alarms": nulls,
                "power": powers,
                "trends": found,
            },
        )
    )


if __name__ == "__main__":
    main()
