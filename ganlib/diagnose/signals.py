"""From a history to the numbers that rules compare with thresholds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.diagnose.history import History
from ganlib.diagnose.thresholds import WINDOW_UPDATES
from ganlib.report import STEP_COLUMNS, Evaluation

JUDGED = frozenset({"precision", "coverage", "fake_distance", "missing_mass"})
"""Figures that outcome signals are made of: the measures `ndb`, `prdc` and `repetition`."""
LOSSES = ("d_loss_real", "d_loss_fake", "g_loss")
COLUMN = {name: i for i, name in enumerate(STEP_COLUMNS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics:
    """The last window of updates. Accuracies are means, losses medians: one relapse must not hide the rest."""

    updates: int
    """Updates in the window."""
    first_epoch: int
    last_epoch: int
    d_acc_real: float
    d_acc_fake: float
    d_loss: float
    g_loss: float
    g_loss_before: float
    """Median of the window before this one; NaN where there is none."""
    largest_loss: float
    finite: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The last evaluation, each figure as a share of its null: 1 is what real data scores."""

    epoch: int
    precision: float
    coverage: float
    distance: float
    """Median nearest fake-fake distance over the same among reals."""
    missing_mass: float
    """Of the training data, in [0, 1]."""
    noise: float
    """Precision of the untrained generator, as a share of the null's; 0 where it was not evaluated."""


def dynamics(history: History) -> Dynamics:
    """The dynamic signals of the last WINDOW_UPDATES updates."""
    window = history.steps[-WINDOW_UPDATES:]
    recorded = window[:, [COLUMN[name] for name in history.columns]]
    before = history.steps[-2 * WINDOW_UPDATES : -WINDOW_UPDATES]
    losses = window[:, [COLUMN[name] for name in LOSSES if name in history.columns]]
    d_losses = (window[:, COLUMN["d_loss_real"]] + window[:, COLUMN["d_loss_fake"]]) / 2
    return Dynamics(
        updates=len(window),
        first_epoch=(len(history.steps) - len(window)) // history.steps_per_epoch + 1,
        last_epoch=history.epoch,
        d_acc_real=float(window[:, COLUMN["d_acc_real"]].mean(dtype=np.float64)),
        d_acc_fake=float(window[:, COLUMN["d_acc_fake"]].mean(dtype=np.float64)),
        d_loss=_median(d_losses),
        g_loss=_median(window[:, COLUMN["g_loss"]]),
        g_loss_before=_median(before[:, COLUMN["g_loss"]]) if len(before) == WINDOW_UPDATES else float("nan"),
        largest_loss=float(np.abs(losses).max(initial=0)),
        finite=bool(np.isfinite(recorded).all()),
    )


def judged(history: History) -> list[Evaluation]:
    """The evaluations that have every figure which outcome signals need."""
    return [e for e in history.evaluations if e.values.keys() >= JUDGED]


def outcome(history: History, last: Evaluation) -> Outcome:
    """The outcome signals of an evaluation of this history."""
    untrained = next((e for e in judged(history) if e.epoch == 0), None)
    return Outcome(
        epoch=last.epoch,
        precision=_share(last, "precision"),
        coverage=_share(last, "coverage"),
        distance=_share(last, "fake_distance"),
        missing_mass=last.values["missing_mass"],
        noise=_share(untrained, "precision") if untrained is not None else 0.0,
    )


def _share(evaluation: Evaluation, name: str) -> float:
    null = evaluation.nulls[name].mean
    return evaluation.values[name] / null if null > 0 else 1.0


def _median(values: NDArray[np.floating]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
