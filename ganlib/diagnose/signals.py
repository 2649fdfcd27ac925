"""From a history to the numbers that rules compare with thresholds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.diagnose.history import History
from ganlib.diagnose.oscillation import Peak, spectral_peak
from ganlib.diagnose.thresholds import SETTLED_UPDATES, WINDOW_UPDATES
from ganlib.diagnose.trend import Trend, trend
from ganlib.report import GRADIENT_UPDATES, STEP_COLUMNS, Evaluation

JUDGED = frozenset({"precision", "coverage", "fake_distance", "missing_mass"})
"""Figures that outcome signals are made of: the measures `ndb`, `prdc` and `repetition`."""
LOSSES = ("d_loss_real", "d_loss_fake", "g_loss")
ACCURACIES = ("d_acc_real", "d_acc_fake")
COLUMN = {name: i for i, name in enumerate(STEP_COLUMNS)}
LOSS_LEVELS_COUNT = ("bce", "clamped-bce")
"""Objectives whose losses have the levels that rules know."""
NO_ZERO_POINT = ("wgan", "wgan-gp")
"""Objectives whose logits are scores: their sign calls nothing real or fake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics:
    """A window of updates. Accuracies are means, losses medians: one relapse must not hide the rest.

    Not-a-number where a column was not recorded.
    """

    updates: int
    """Updates in the window."""
    first_epoch: int
    last_epoch: int
    d_acc_real: float
    d_acc_fake: float
    d_auc: float
    d_loss: float
    g_loss: float
    g_loss_before: float
    """Median of the window before this one; NaN where there is none."""
    largest_loss: float
    finite: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One evaluation, each figure as a share of its null: 1 is what real data scores."""

    epoch: int
    precision: float
    coverage: float
    distance: float
    """Median nearest fake-fake distance over the same among reals."""
    spread: float
    """Mean standard deviation of the fakes' features over that of the reals'; NaN where it was not measured."""
    missing_mass: float
    """Of the training data, in [0, 1]."""
    noise: float
    """Precision of the untrained generator, as a share of the null's; 0 where it was not evaluated."""
    memorisation: float
    """Chance, in [0, 1], that a fake is nearer to the training data than an unseen real; NaN without the measure."""
    copies: float
    """Share, in [0, 1], of fakes nearer than 1 % of unseen reals; NaN without the measure."""
    ssim: float
    """Similarity to the targets, for pairs; NaN elsewhere."""

    @property
    def quality(self) -> float:
        """The smaller of precision and coverage: blurred averages reach either, not both. Of pairs, SSIM."""
        return self.ssim if np.isfinite(self.ssim) else min(self.precision, self.coverage)

    @property
    def progress(self) -> float:
        """Mean of precision and coverage, which moves where either does. Of pairs, SSIM."""
        return self.ssim if np.isfinite(self.ssim) else (self.precision + self.coverage) / 2

    @property
    def unexplained(self) -> float:
        """Coverage over precision: samples of that quality should cover as much."""
        return self.coverage / self.precision if self.precision > 0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """How a layer's gradient, over its weight, has changed since the first updates."""

    layer: str
    ratio: float
    """1: not at all."""
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What rules look at."""

    updates: int
    """Since the start."""
    epoch: int
    epochs_total: int
    bce: bool
    """Whether loss levels have their usual meaning."""
    accuracies: bool
    """Whether the sign of a logit calls a sample real or fake."""
    dynamics: Dynamics
    """Of the last WINDOW_UPDATES updates."""
    last_third: Dynamics
    """Of the last third of the budget so far."""
    outcomes: tuple[Outcome, ...]
    """Of the evaluations after training began."""
    weakest: Pull | None
    """Of the generator's layers, the one whose gradient shrank most."""
    strongest: Pull | None
    """Of all layers, the one whose gradient grew most."""
    peak: Peak | None
    """Of the spectrum of the generator's loss."""

    @property
    def outcome(self) -> Outcome | None:
        """Of the last evaluation."""
        return self.outcomes[-1] if self.outcomes else None

    @property
    def is_full(self) -> bool:
        """Whether there is a whole window of finite numbers."""
        return self.dynamics.updates >= WINDOW_UPDATES and self.dynamics.finite

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self.epoch >= self.epochs_total

    @property
    def late_outcomes(self) -> tuple[Outcome, ...]:
        """Of the last third of the epochs."""
        return tuple(o for o in self.outcomes if o.epoch > self.epoch * 2 / 3)

    def progress_trend(self) -> Trend | None:
        """Of the progress over the last third; None where there are too few evaluations."""
        return trend(np.array([o.progress for o in self.late_outcomes]))


def signals_of(history: History) -> Signals:
    """All signals of a history."""
    third = max(len(history.steps) // 3, min(WINDOW_UPDATES, len(history.steps)))
    weakest, strongest = _pulls(history)
    return Signals(
        updates=len(history.steps),
        epoch=history.epoch,
        epochs_total=history.epochs_total,
        bce=history.objective in LOSS_LEVELS_COUNT,
        accuracies=history.objective not in NO_ZERO_POINT and set(ACCURACIES) <= set(history.columns),
        dynamics=dynamics(history, WINDOW_UPDATES),
        last_third=dynamics(history, third),
        outcomes=tuple(outcome(history, e) for e in judged(history) if e.epoch > 0),
        weakest=weakest,
        strongest=strongest,
        peak=spectral_peak(history.steps[SETTLED_UPDATES:, COLUMN["g_loss"]]),
    )


def dynamics(history: History, updates: int) -> Dynamics:
    """The dynamic signals of the last so many updates."""
    window = history.steps[-updates:]
    before = history.steps[-2 * updates : -updates]
    recorded = window[:, [COLUMN[name] for name in history.columns]]
    losses = window[:, [COLUMN[name] for name in LOSSES if name in history.columns]]
    d_losses = (window[:, COLUMN["d_loss_real"]] + window[:, COLUMN["d_loss_fake"]]) / 2
    return Dynamics(
        updates=len(window),
        first_epoch=(len(history.steps) - len(window)) // history.steps_per_epoch + 1,
        last_epoch=history.epoch,
        d_acc_real=_mean(window[:, COLUMN["d_acc_real"]]),
        d_acc_fake=_mean(window[:, COLUMN["d_acc_fake"]]),
        d_auc=_mean(window[:, COLUMN["d_auc"]]),
        d_loss=_median(d_losses),
        g_loss=_median(window[:, COLUMN["g_loss"]]),
        g_loss_before=_median(before[:, COLUMN["g_loss"]]) if len(before) == updates else float("nan"),
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
        spread=_share(last, "spread") if "spread" in last.nulls else float("nan"),
        missing_mass=last.values["missing_mass"],
        noise=_share(untrained, "precision") if untrained is not None else 0.0,
        memorisation=last.values.get("memorisation", float("nan")),
        copies=last.values.get("copies", float("nan")),
        ssim=last.values.get("ssim", float("nan")),
    )


def _pulls(history: History) -> tuple[Pull | None, Pull | None]:
    """The layers whose gradients shrank and grew most, against the first GRADIENT_UPDATES updates."""
    early = [g for g in history.gradients if g.step <= GRADIENT_UPDATES] or list(history.gradients[:1])
    if not early or history.gradients[-1].step <= GRADIENT_UPDATES:
        return None, None
    last, first = history.gradients[-1], early[-1]
    ratios = {name: last.ratios[name] / start for name, start in first.ratios.items() if start > 0}
    known = {name: ratio for name, ratio in ratios.items() if np.isfinite(ratio)}
    pulls = [Pull(layer=name, ratio=ratio, step=last.step) for name, ratio in known.items()]
    of_generator = [pull for pull in pulls if pull.layer.startswith("generator.")]
    return min(of_generator, key=_ratio, default=None), max(pulls, key=_ratio, default=None)


def _ratio(pull: Pull) -> float:
    return pull.ratio


def _share(evaluation: Evaluation, name: str) -> float:
    null = evaluation.nulls[name].mean
    return evaluation.values[name] / null if null > 0 else 1.0


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean(dtype=np.float64)) if len(values) else float("nan")


def _median(values: NDArray[np.floating]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
