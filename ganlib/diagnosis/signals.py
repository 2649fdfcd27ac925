"""From a history to the numbers that rules compare with thresholds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.diagnosis.history import FEWEST_ROWS, History
from ganlib.diagnosis.statistics.oscillation import Peak, spectral_peak
from ganlib.diagnosis.statistics.trend import FEWEST, Trend, trend
from ganlib.diagnosis.thresholds import (
    EXPLODED_LOSS,
    GAIN,
    LATE_EVALUATIONS,
    LEAD_UPDATES,
    SETTLED_UPDATES,
    TREND_P,
    WINDOW_UPDATES,
)
from ganlib.records import GRADIENT_UPDATES, STEP_COLUMNS, EpochEvaluation

JUDGED = frozenset({"precision", "coverage", "recall", "fake_distance", "missing_mass"})
"""Figures that outcome signals are made of: the measures `ndb`, `prdc` and `repetition`."""
COUNTED = {"precision": "precision", "coverage": "coverage", "recall": "recall", "recognised": "high_quality"}
"""Outcome signals that are shares of samples, by the figure of the evaluation."""
LOSSES = ("d_loss_real", "d_loss_fake", "g_loss")
ACCURACIES = ("d_acc_real", "d_acc_fake")
TRUSTED = 0.5
"""Share of reals that a classifier must be sure of before anything is read from what it says of fakes."""
FIRST_UPDATES = 10
"""Updates that show what gradients a generator begins with: a discriminator may be sure after fifty."""
COLUMN = {name: i for i, name in enumerate(STEP_COLUMNS)}
LOSS_LEVELS_COUNT = ("bce", "clamped-bce")
"""Objectives whose losses have the levels that rules know."""
CHANCE_D_LOSS = {
    **dict.fromkeys(("bce", "saturating-bce", "clamped-bce", "relativistic"), math.log(2)),
    "lsgan": 0.25,
    "hinge": 1.0,
    "relativistic-hinge": 1.0,
}
"""By objective: the least d_loss, the mean of both parts, of a discriminator that says the same of every sample."""
NO_ZERO_POINT = ("wgan", "wgan-gp")
"""Objectives whose logits are scores: their sign calls nothing real or fake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamics:
    """A window of updates. Accuracies are means, losses medians: one relapse must not hide the rest.

    Not-a-number where a column was not recorded.
    """

    updates: int
    """Updates that the window covers."""
    rows: int
    first_epoch: int
    last_epoch: int
    d_acc_real: float
    d_acc_fake: float
    d_auc: float
    d_loss: float
    d_loss_before: float
    """Median of the window before this one; NaN where there is none."""
    d_loss_fake: float
    g_loss: float
    g_loss_before: float
    """As of d_loss."""
    largest_loss: float
    finite: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeEvaluation:
    """One evaluation, each figure as a share of its null: 1 is what real data scores."""

    epoch: int
    precision: float
    coverage: float
    recall: float
    recognised: float
    """Share of fakes that a classifier of the training data's classes is sure of; NaN where there is none to trust."""
    unevenness: float
    """KL(fakes || data) over those classes, in nats, of the fakes that it is sure of; NaN where there are none."""
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
    errors: Mapping[str, float]
    """Standard errors of precision, coverage, recall and recognised by the number of samples, as shares likewise."""

    @property
    def quality(self) -> float:
        """In [0, 1] and somewhat above: precision, or the mean of coverage and recall where that is smaller.

        Blurred averages are precise and reach little; noise may reach much and is not precise. Where a classifier
        knows the classes, the mean of that and of what it recognises. Of pairs, SSIM.
        """
        if np.isfinite(self.ssim):
            return self.ssim
        reached = min(self.precision, (self.coverage + self.recall) / 2)
        return (self.recognised + reached) / 2 if np.isfinite(self.recognised) else reached

    @property
    def quality_error(self) -> float:
        """Standard error of the quality by the number of samples alone; NaN of pairs."""
        if np.isfinite(self.ssim):
            return float("nan")
        reached = self.errors["precision"]
        if self.precision > (self.coverage + self.recall) / 2:
            reached = math.hypot(self.errors["coverage"], self.errors["recall"]) / 2
        return math.hypot(self.errors["recognised"], reached) / 2 if np.isfinite(self.recognised) else reached


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
    objective: str
    bce: bool
    """Whether loss levels have their usual meaning."""
    accuracies: bool
    """Whether the sign of a logit calls a sample real or fake."""
    chance: float
    """What d_loss is of a discriminator that guesses; NaN under objectives whose losses have no such level."""
    bounded: bool
    """Whether an accuracy is bounded only; then .5 says nothing."""
    dynamics: Dynamics
    """Of the last WINDOW_UPDATES updates."""
    lead: Dynamics
    """Of the last LEAD_UPDATES updates."""
    last_third: Dynamics | None
    """Of the last third of the budget; None before its end: no rule asks for it then, and it grows with the run."""
    outcomes: tuple[RelativeEvaluation, ...]
    """Of the evaluations after training began."""
    weakest: Pull | None
    """Of the generator's layers, the one whose gradient shrank most."""
    strongest: Pull | None
    """Of all layers, the one whose gradient grew most."""
    pull: float
    """The generator's gradient in the last window over that of the first FIRST_UPDATES updates; NaN where unknown."""
    peak: Peak | None
    """Of the spectrum of the generator's loss, in rows."""
    updates_per_row: float

    @property
    def outcome(self) -> RelativeEvaluation | None:
        """The last evaluation; None before the first."""
        return self.outcomes[-1] if self.outcomes else None

    @property
    def is_full(self) -> bool:
        """Whether there is a whole window of finite numbers of a sensible size."""
        window = self.dynamics
        enough = window.updates >= WINDOW_UPDATES and window.rows >= FEWEST_ROWS
        return enough and window.finite and window.largest_loss < EXPLODED_LOSS.value

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self.epoch >= self.epochs_total

    @property
    def late_outcomes(self) -> tuple[RelativeEvaluation, ...]:
        """Of the last third of the epochs, or as many as a trend needs, but none of the first third."""
        late = sum(o.epoch > self.epoch * 2 / 3 for o in self.outcomes)
        last = self.outcomes[-max(late, FEWEST) :]
        return tuple(o for o in last if o.epoch > self.epoch / 3)

    @property
    def late_quality(self) -> float:
        """Median quality of the last LATE_EVALUATIONS outcomes: samples may be good or bad for a moment."""
        return float(np.median([o.quality for o in self.outcomes[-LATE_EVALUATIONS:]]))

    def quality_trend(self) -> Trend | None:
        """Of the quality over the late outcomes; None where there are too few."""
        return trend(np.array([o.quality for o in self.late_outcomes]))

    @property
    def is_rising(self) -> bool:
        """Whether the samples still become better: more than by chance, and so much that it counts."""
        change = self.quality_trend()
        return change is not None and change.p_rising < TREND_P.value and change.change >= GAIN.value


def signals_of(history: History) -> Signals:
    """All signals of a history."""
    window = history.rows_of(WINDOW_UPDATES)
    third = max(len(history.steps) // 3, min(window, len(history.steps)))
    weakest, strongest = _pulls(history)
    evaluations = judged(history)
    untrained = next((e for e in evaluations if e.epoch == 0), None)
    return Signals(
        updates=history.updates,
        epoch=history.epoch,
        epochs_total=history.epochs_total,
        objective=history.objective,
        bce=history.objective in LOSS_LEVELS_COUNT,
        accuracies=history.objective not in NO_ZERO_POINT and set(ACCURACIES) <= set(history.columns),
        bounded=bool(set(ACCURACIES) & set(history.bounded)),
        chance=CHANCE_D_LOSS.get(history.objective, float("nan")),
        dynamics=dynamics(history, window),
        lead=dynamics(history, history.rows_of(LEAD_UPDATES)),
        last_third=dynamics(history, third) if history.epoch >= history.epochs_total else None,
        outcomes=tuple(outcome(e, untrained) for e in evaluations if e.epoch > 0),
        weakest=weakest,
        strongest=strongest,
        pull=_pull(history),
        peak=spectral_peak(history.steps[history.rows_of(SETTLED_UPDATES) :, COLUMN["g_loss"]]),
        updates_per_row=history.updates_per_row,
    )


def dynamics(history: History, rows: int) -> Dynamics:
    """The dynamic signals of the last so many rows."""
    window = history.steps[-rows:]
    before = history.steps[-2 * rows : -rows]
    recorded = window[:, [COLUMN[name] for name in history.columns]]
    losses = window[:, [COLUMN[name] for name in LOSSES if name in history.columns]]
    return Dynamics(
        updates=int(len(window) * history.updates_per_row),
        rows=len(window),
        first_epoch=min((len(history.steps) - len(window)) // history.steps_per_epoch + 1, max(history.epoch, 1)),
        last_epoch=history.epoch,
        d_acc_real=_mean(window[:, COLUMN["d_acc_real"]]),
        d_acc_fake=_mean(window[:, COLUMN["d_acc_fake"]]),
        d_auc=_mean(window[:, COLUMN["d_auc"]]),
        d_loss=_median(_d_losses(window)),
        d_loss_before=_median(_d_losses(before)) if len(before) == rows else float("nan"),
        d_loss_fake=_median(window[:, COLUMN["d_loss_fake"]]),
        g_loss=_median(window[:, COLUMN["g_loss"]]),
        g_loss_before=_median(before[:, COLUMN["g_loss"]]) if len(before) == rows else float("nan"),
        largest_loss=float(np.abs(losses).max(initial=0)),
        finite=bool(np.isfinite(recorded).all()),
    )


def _d_losses(window: NDArray[np.float32]) -> NDArray[np.floating]:
    return (window[:, COLUMN["d_loss_real"]] + window[:, COLUMN["d_loss_fake"]]) / 2


def judged(history: History) -> list[EpochEvaluation]:
    """The evaluations that have every figure which outcome signals need."""
    return [e for e in history.evaluations if e.values.keys() >= JUDGED]


def quality_of(evaluation: EpochEvaluation) -> float | None:
    """The quality of an evaluation's fakes; None where a figure that outcome signals need was not measured."""
    return outcome(evaluation, None).quality if evaluation.values.keys() >= JUDGED else None


def outcome(last: EpochEvaluation, untrained: EpochEvaluation | None) -> RelativeEvaluation:
    """The outcome signals of an evaluation, above those of the untrained generator where it was evaluated."""
    return RelativeEvaluation(
        epoch=last.epoch,
        precision=_share(last, "precision"),
        coverage=_share(last, "coverage"),
        recall=_share(last, "recall"),
        recognised=_share(last, "high_quality") if _knows_classes(last) else float("nan"),
        unevenness=last.values["mode_kl"] if _knows_classes(last) else float("nan"),
        distance=_share(last, "fake_distance"),
        spread=_share(last, "spread") if "spread" in last.nulls else float("nan"),
        missing_mass=last.values["missing_mass"],
        noise=_share(untrained, "precision") if untrained is not None else 0.0,
        memorisation=last.values.get("memorisation", float("nan")),
        copies=last.values.get("copies", float("nan")),
        ssim=last.values.get("ssim", float("nan")),
        errors={name: _error(last, column) for name, column in COUNTED.items() if column in last.values},
    )


def _knows_classes(evaluation: EpochEvaluation) -> bool:
    """Whether a classifier was asked that is sure of most reals. Of mixtures the classes are exact, and not read.

    What is known of a mixture is left to those who want to know whether the diagnosis is right.
    """
    null = evaluation.nulls.get("high_quality")
    return "classifier_accuracy" in evaluation.values and null is not None and null.mean >= TRUSTED


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


def _pull(history: History) -> float:
    norm = history.steps[:, COLUMN["g_grad_norm"]]
    first = _median(norm[: history.rows_of(FIRST_UPDATES)].astype(np.float64)) if len(norm) > FIRST_UPDATES else 0.0
    last = norm[-history.rows_of(WINDOW_UPDATES) :].astype(np.float64)
    return _median(last) / first if first > 0 else float("nan")


def _ratio(pull: Pull) -> float:
    return pull.ratio


def _share(evaluation: EpochEvaluation, name: str) -> float:
    null = evaluation.nulls[name].mean
    return evaluation.values[name] / null if null > 0 else 1.0


def _error(evaluation: EpochEvaluation, column: str) -> float:
    """Of a share of so many samples: binomial, over the mean of its null, which is known far better."""
    share = min(max(evaluation.values[column], 0.0), 1.0)
    null = evaluation.nulls[column].mean if column in evaluation.nulls else 0.0
    return math.sqrt(share * (1 - share) / max(evaluation.n_subset, 1)) / null if null > 0 else 0.0


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean(dtype=np.float64)) if len(values) else float("nan")


def _median(values: NDArray[np.floating]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
