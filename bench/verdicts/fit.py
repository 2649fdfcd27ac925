"""Where thresholds come from: the signals of the calibration part's runs, with and without the finding.

    python -m bench.verdicts.fit     # seconds; writes bench/results/thresholds_fit.json

Thresholds are set by hand between what these tables say; the file keeps which runs were looked at and which values were
set, and a test holds both against the suite's split and against `ganlib.diagnosis.thresholds`.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from bench import results
from bench.verdicts import labels
from bench.verdicts.labels import median_at_end, truth
from bench.verdicts.record import path_of
from bench.verdicts.recording import load
from bench.verdicts.suite import Planned, planned
from ganlib.diagnosis import thresholds
from ganlib.diagnosis.signals import Signals, signals_of
from ganlib.diagnosis.thresholds import RULESET, Threshold

FITTED_PART = "calibration"
NOTHING = float("nan")
POOR, ALIKE = "poor", "alike"
"""What the oracle says of samples, beside findings."""

SIGNALS: dict[str, tuple[str, Callable[[Signals], float]]] = {
    "spread": (ALIKE, lambda s: s.outcome.spread if s.outcome else NOTHING),
    "distance": ("mode collapse", lambda s: s.outcome.distance if s.outcome else NOTHING),
    "missing mass": ("mode collapse", lambda s: s.outcome.missing_mass if s.outcome else NOTHING),
    "quality": ("stalled", lambda s: s.outcome.quality if s.outcome else NOTHING),
    "quality of the last evaluations": (POOR, lambda s: s.late_quality if s.outcomes else NOTHING),
    "class unevenness": ("mode collapse", lambda s: s.outcome.unevenness if s.outcome else NOTHING),
    "recognised": ("stalled", lambda s: s.outcome.recognised if s.outcome else NOTHING),
    "faded": ("vanishing gradients", lambda s: s.pull),
    "grown": ("exploding gradients", lambda s: s.pull),
    "memorisation": ("memorisation", lambda s: s.outcome.memorisation if s.outcome else NOTHING),
    "copies": ("memorisation", lambda s: s.outcome.copies if s.outcome else NOTHING),
    "g_loss": ("convergence failure: no equilibrium", lambda s: s.dynamics.g_loss),
    "d_loss over that of guesses": (
        "convergence failure: discriminator inert",
        lambda s: min(s.dynamics.d_loss, s.dynamics.d_loss_before) / s.chance,
    ),
    "d_auc": ("convergence failure: discriminator wins", lambda s: s.dynamics.d_auc),
    "weakest gradient": ("vanishing gradients", lambda s: s.weakest.ratio if s.weakest else NOTHING),
    "strongest gradient": ("exploding gradients", lambda s: s.strongest.ratio if s.strongest else NOTHING),
    "share of the peak": ("oscillation", lambda s: s.peak.share if s.peak and s.peak.p < 1e-3 else 0.0),
}
"""Signals at the end of the budget, each with the finding, or the oracle's word, that is set by it."""


def values() -> dict[str, float]:
    """Every threshold by name."""
    return {name: cut.value for name, cut in vars(thresholds).items() if isinstance(cut, Threshold)}


def _look(run: Planned) -> tuple[str, set[str], bool, dict[str, float]]:
    recording = load(path_of(run))
    signals = signals_of(recording.history)
    found = truth(run, recording)
    said: set[str] = set(found.labels)
    if median_at_end(recording.figure("quality")) < labels.POOR:
        said.add(POOR)
    if median_at_end(recording.figure("spread")) < labels.NO_SPREAD:
        said.add(ALIKE)
    return run.id, said, found.healthy, {name: float(read(signals)) for name, (_, read) in SIGNALS.items()}


def fit() -> dict[str, Any]:
    """The tables."""
    runs = [r for r in planned() if path_of(r).exists() and r.configuration.part == FITTED_PART]
    with ProcessPoolExecutor(2) as pool:
        looked = list(pool.map(_look, runs, chunksize=4))
    return {
        "ruleset": RULESET,
        "runs": sorted(name for name, *_ in looked),
        "values": values(),
        "signals": {
            signal: {
                "finding": finding,
                "with it": _quantiles([row[signal] for _, said, _, row in looked if finding in said]),
                "without": _quantiles([row[signal] for _, said, _, row in looked if finding not in said]),
                "healthy": _quantiles([row[signal] for _, _, healthy, row in looked if healthy]),
            }
            for signal, (finding, _) in SIGNALS.items()
        },
    }


def _quantiles(found: list[float]) -> dict[str, Any]:
    known = [value for value in found if np.isfinite(value)]
    if not known:
        return {"n": 0}
    least, tenth, median, ninth, most = np.quantile(known, [0, 0.1, 0.5, 0.9, 1])
    named = {"least": least, "10 %": tenth, "median": median, "90 %": ninth, "most": most}
    return {"n": len(known), **{name: float(f"{value:.3g}") for name, value in named.items()}}


def main() -> None:
    """Write the tables, and print them."""
    found = fit()
    for signal, row in found["signals"].items():
        print(signal, row)
    print(results.write("thresholds_fit", found))


if __name__ == "__main__":
    main()
