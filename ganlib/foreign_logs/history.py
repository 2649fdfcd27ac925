"""The diagnosis of a training that was somebody else's: the same rules, on what its log happens to hold.

    reading = read_history({"errD_real": …, "errD_fake": …, "errG": …, "D(x)": …, "D(G(z))": …}, objective="bce")
    found = diagnose_reading(reading)

What a log does not hold is never made up. Accuracies alone are bounded, where losses or mean probabilities do bound
them; `Diagnosis.missing` names them all the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ganlib.diagnosis.history import History
from ganlib.diagnosis.prescribe import PRESCRIPTIONS, REMEDIES
from ganlib.diagnosis.replay import replay
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.thresholds import WINDOW_UPDATES
from ganlib.diagnosis.verdict import Diagnosis, Finding, Remedy
from ganlib.findings import FindingName
from ganlib.foreign_logs.column_names import D_ACC, D_G_Z, D_LOSS, D_X, EPOCH, STEP, InvalidHistory
from ganlib.foreign_logs.table import (
    Arrays,
    Column,
    DLoss,
    Flags,
    Floats,
    Table,
    arranged,
    steps_of,
    stride,
    table_of,
)
from ganlib.records import STEP_COLUMNS, EpochEvaluation

OBJECTIVES = (
    "bce",
    "saturating-bce",
    "clamped-bce",
    "lsgan",
    "wgan",
    "wgan-gp",
    "hinge",
    "relativistic",
    "other",
)
"""Adversarial losses that a history may have; of `other` nothing is assumed."""
CROSS_ENTROPIES = frozenset({"bce", "saturating-bce", "clamped-bce"})
"""Those whose discriminator's loss is the mean of -log p, which bounds how many it gets wrong."""
MAX_EPOCHS = 10_000
BLOCKS = 50
"""Parts that a history without epochs is looked at in, at most."""
CONTRADICTION = 0.05
"""By how much bounds of an accuracy may exclude each other before it is said: logs round to a few digits."""
SUGGESTIONS = 4
"""Remedies that are named for a finding: its most likely ones."""

EVALUATION, LAYERS = "fakes and reals", "gradients of layers"
ACCURACIES, LOSSES = ("d_acc_real", "d_acc_fake"), ("d_loss_real", "d_loss_fake")
NEEDS: dict[FindingName, tuple[str, ...]] = {
    "divergence": (),
    "convergence failure: both losses vanish": (*ACCURACIES, "g_loss"),
    "convergence failure: discriminator wins": (*ACCURACIES, *LOSSES, "g_loss"),
    "convergence failure: discriminator inert": ACCURACIES,
    "exploding gradients": ("g_grad_norm",),
    "vanishing gradients": ("g_grad_norm", LAYERS),
    "convergence failure: no equilibrium": (*ACCURACIES, "g_loss", EVALUATION),
    "mode collapse": (EVALUATION,),
    "memorisation": (EVALUATION,),
    "oscillation": ("g_loss",),
    "deceptive loss": (*LOSSES, "g_loss", EVALUATION),
    "stalled": (EVALUATION,),
    "slow convergence": (EVALUATION,),
}
"""What each finding is seen by; a divergence by whatever there is.

Without levels that mean something, a discriminator that wins is seen by `d_auc`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A history, and how it was read."""

    history: History
    sources: dict[str, str]
    """Signal → the column it came from."""
    left_out: tuple[str, ...]
    """Columns that were not used."""
    bounded: tuple[str, ...]
    """Signals of which only bounds, or a mean with another, are known."""
    missing: tuple[str, ...]
    """Signals that were not recorded, those of `bounded` included."""
    epochs_known: bool
    """Whether epochs are the trainer's own, not parts of the history."""
    notes: tuple[str, ...]
    """What was assumed or done, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryDiagnosis:
    """What a history shows."""

    diagnosis: Diagnosis
    """Of the whole history; findings and episodes have the epochs in which they held."""
    reading: Reading
    unsaid: dict[str, tuple[FindingName, ...]]
    """What is missing → the findings that are seen too late or not at all without it."""

    def to_json(self) -> dict[str, Any]:
        """Plain types only; non-finite numbers become None."""
        history = self.reading.history
        last = history.evaluations[-1] if history.evaluations else None
        return {
            "steps": len(history.steps),
            "steps_per_epoch": history.steps_per_epoch,
            "epochs_known": self.reading.epochs_known,
            "objective": history.objective,
            "signals": self.reading.sources,
            "left_out": list(self.reading.left_out),
            "notes": list(self.reading.notes),
            "unsaid": {name: list(findings) for name, findings in self.unsaid.items()},
            "diagnosis": self.diagnosis.to_json(),
            "evaluation": None if last is None else last.to_json(),
        }


def diagnose_history(
    columns: Arrays,
    *,
    objective: str = "bce",
    steps_per_epoch: int | None = None,
    d_loss: DLoss = "mean",
    evaluations: Sequence[EpochEvaluation] = (),
) -> HistoryDiagnosis:
    """The diagnosis of columns of equal length under the names that a trainer gives them, a value a step.

    Raises:
        InvalidHistory: saying which column, which row, and what to do.
    """
    reading = read_history(columns, objective=objective, steps_per_epoch=steps_per_epoch, d_loss=d_loss)
    return diagnose_reading(reading, evaluations)


@np.errstate(over="ignore", invalid="ignore")  # what is too large for a float becomes infinite, which is divergence
def read_history(
    columns: Arrays | Table, *, objective: str = "bce", steps_per_epoch: int | None = None, d_loss: DLoss = "mean"
) -> Reading:
    """The history that the columns hold, `d_loss` being what a column of that name is of its two parts.

    Raises:
        InvalidHistory: saying which column, which row, and what to do.
    """
    if objective not in OBJECTIVES:
        raise InvalidHistory(f"objective: '{objective}' is not known; allowed: {', '.join(OBJECTIVES)}")
    if d_loss not in ("mean", "sum"):
        raise InvalidHistory(f"d_loss: '{d_loss}' is not known; allowed: mean, sum")
    if steps_per_epoch is not None and steps_per_epoch < 1:
        raise InvalidHistory(f"steps_per_epoch: {steps_per_epoch}; allowed: 1 and more")
    table, notes = arranged(columns if isinstance(columns, Table) else table_of(columns))
    known = _Known(table, objective, d_loss, notes)
    rows, epochs_known = _rows_per_epoch(table, steps_per_epoch, notes)
    known.say_what_is_not_finite()
    steps = np.full((len(table), len(STEP_COLUMNS)), np.nan, dtype=np.float32)
    for name, values in known.series.items():
        steps[:, STEP_COLUMNS.index(name)] = values
    return Reading(
        history=History(
            objective=objective,
            steps_per_epoch=rows,
            epochs_total=len(table) // rows,
            steps=steps,
            columns=tuple(name for name in STEP_COLUMNS if name in known.series),
        ),
        sources={signal: column.name for signal, column in table.columns.items()},
        left_out=table.left_out,
        bounded=tuple(known.bounded),
        missing=tuple(name for name in STEP_COLUMNS if name not in known.series or name in known.bounded),
        epochs_known=epochs_known,
        notes=tuple(notes),
    )


@np.errstate(over="ignore", invalid="ignore")
def diagnose_reading(reading: Reading, evaluations: Sequence[EpochEvaluation] = ()) -> HistoryDiagnosis:
    """The diagnosis of every epoch in turn, and of what follows the last whole one; the last of them."""
    history = replace(reading.history, evaluations=tuple(sorted(evaluations, key=lambda e: e.epoch)))
    last: Diagnosis | None = None
    for found in replay(history):
        last = found
    if last is None or len(history.steps) % history.steps_per_epoch:
        last = diagnose(replace(history, previous=last))
    missing = [*reading.missing, *([] if evaluations else [EVALUATION]), LAYERS]
    findings = tuple(_without_spec(finding, reading.bounded) for finding in last.findings)
    return HistoryDiagnosis(
        diagnosis=replace(last, findings=findings, missing=reading.missing),
        reading=replace(reading, history=history),
        unsaid=_unsaid(missing),
    )


def _without_spec(finding: Finding, bounded: Sequence[str]) -> Finding:
    """With the reasons of its usual remedies, for no spec says which apply; less sure where signals are only bounded.

    For those that are missing altogether rules have made it less sure, by as much each.
    """
    names = PRESCRIPTIONS[finding.name][:SUGGESTIONS]
    remedies = tuple(Remedy(name=name, reason=REMEDIES[name][0], patch={}) for name in names)
    sure = 1 - len(bounded) / (2 * len(STEP_COLUMNS))
    return replace(finding, remedies=remedies, confidence=finding.confidence * sure)


def _unsaid(missing: Sequence[str]) -> dict[str, tuple[FindingName, ...]]:
    hidden: dict[str, tuple[FindingName, ...]] = {
        name: tuple(finding for finding, needs in NEEDS.items() if name in needs) for name in missing
    }
    return {name: findings for name, findings in hidden.items() if findings}


# --- signals ----------------------------------------------------------------------------------------------------


class _Known:
    """The columns of a step that a table gives, and what is known of the others."""

    def __init__(self, table: Table, objective: str, d_loss: DLoss, notes: list[str]) -> None:
        self.table, self.objective, self.notes = table, objective, notes
        self.series: dict[str, Floats] = {n: c.values for n, c in table.columns.items() if n in STEP_COLUMNS}
        self.bounded: list[str] = []
        self._check_shares((*ACCURACIES, D_ACC, "d_auc"))
        if D_LOSS in table.columns:
            self._split_d_loss(table.columns[D_LOSS], d_loss)
        self._bound_accuracies()

    def say_what_is_not_finite(self) -> None:
        for signal, column in self.table.columns.items():
            wrong = ~np.isfinite(column.values)
            if signal not in (STEP, EPOCH) and wrong.any():
                first = self.table.at(int(np.argmax(wrong)), column)
                use = "kept as data" if self._is_kept(signal) else "not used"
                self.notes.append(f"{first}: the first of {wrong.sum()} values that are not finite; {use}")

    def _is_kept(self, signal: str) -> bool:
        """Whether all values of the column are data, not only bounds of others."""
        return signal in self.series or (signal == D_LOSS and not self._has_both_losses())

    def _has_both_losses(self) -> bool:
        return all(name in self.table.columns for name in LOSSES)

    def _check_shares(self, signals: Sequence[str]) -> None:
        for signal in signals:
            column = self.table.columns.get(signal)
            if column is not None and (wrong := _no_share(column)).any():
                row = int(np.argmax(wrong))
                raise InvalidHistory(
                    f"{self.table.at(row, column)}: {column.values[row]:g} is no share from 0 to 1; "
                    "divide percents by 100, or leave the column out"
                )

    def _split_d_loss(self, column: Column, d_loss: DLoss) -> None:
        known = [name for name in LOSSES if name in self.series]
        mean = column.values / 2 if d_loss == "sum" else column.values
        if self._has_both_losses():
            self.notes.append(f"'{column.name}' is not needed where both its parts are known")
            return
        taken = "" if d_loss == "sum" else "; where it is their sum, as in DCGAN's tutorial, say so: --d-loss sum"
        self.notes.append(f"'{column.name}' was taken for the {d_loss} of its parts on reals and on fakes{taken}")
        for name in LOSSES:
            if name not in self.series:
                self.series[name] = 2 * mean - self.series[known[0]] if known else mean
        self.bounded += [] if known else LOSSES

    def _bound_accuracies(self) -> None:
        for name, loss, probability in zip(ACCURACIES, LOSSES, (D_X, D_G_Z), strict=True):
            if name in self.series:
                continue
            bounds, used = self._bounds(loss, probability)
            if used:
                self.series[name] = _estimate(*np.asarray(bounds))
                self.bounded.append(name)
                self.notes.append(f"{name} was not recorded; {' and '.join(map(repr, used))} bound it")
                self._say_contradiction(name, *bounds, used)

    def _say_contradiction(self, name: str, low: Floats, high: Floats, used: Sequence[str]) -> None:
        """A loss that only a discriminator that is right can have, and probabilities of one that is wrong."""
        wrong = low > high + CONTRADICTION
        if wrong.any():
            first = self.table.at(int(np.argmax(wrong)))
            self.notes.append(
                f"{first}: the first of {wrong.sum()} rows in which {' and '.join(map(repr, used))} contradict each "
                f"other ({name} at least {low[wrong][0]:.2f} by one, at most {high[wrong][0]:.2f} by another). Are "
                "labels of reals and fakes swapped, or values of one row from different batches?"
            )

    def _bounds(self, loss: str, probability: str) -> tuple[tuple[Floats, Floats], list[str]]:
        """Lower and upper bounds of an accuracy at each step, and the columns that they come from.

        A sample on the wrong side of 1/2 costs a cross-entropy of at least log 2, and takes at least 1/2 from the mean
        probability of the right side; one on the right side leaves at most 1/2 of it.
        """
        low, high, used = np.zeros(len(self.table)), np.ones(len(self.table)), list[str]()
        if self.objective in CROSS_ENTROPIES and loss in self.series:
            both = 2 if loss in self.bounded else 1  # all of the sum may be the other part's
            low = np.fmax(low, 1 - both * self.series[loss] / math.log(2))
            used.append(self.table.columns[loss if loss in self.table.columns else D_LOSS].name)
        for column in filter(None, (self._probability(probability), self.table.columns.get(D_ACC))):
            finite = np.where(np.isfinite(column.values), column.values, np.nan)  # what fmax and fmin pass over
            right = 1 - finite if column is self.table.columns.get(D_G_Z) else finite
            low, high = np.fmax(low, 2 * right - 1), np.fmin(high, 2 * right)
            used.append(column.name)
        return (low, high), used

    def _probability(self, signal: str) -> Column | None:
        column = self.table.columns.get(signal)
        if column is None or not (wrong := _no_share(column)).any():
            return column
        row = int(np.argmax(wrong))
        self.notes.append(f"{self.table.at(row, column)}: {column.values[row]:g} is no probability; not used")
        return None


def _no_share(column: Column) -> Flags:
    return np.isfinite(column.values) & ((column.values < 0) | (column.values > 1))


def _estimate(low: Floats, high: Floats) -> Floats:
    """The lower bound where it is above 1/2, the upper one where it is below, and else 1/2, which says nothing.

    Its distance from 1 is at least half of the accuracy's own, and so is that from 0: a mean of .99 surely means .98.
    """
    return np.where(low > 0.5, low, np.where(high < 0.5, high, 0.5))


# --- epochs -----------------------------------------------------------------------------------------------------


def _rows_per_epoch(table: Table, steps_per_epoch: int | None, notes: list[str]) -> tuple[int, bool]:
    """Rows that make an epoch, and whether that is the trainer's own."""
    every = stride(table)
    if every > 1:
        notes.append(
            f"there is a row every {every} steps: rules that look back {WINDOW_UPDATES} steps see as many rows"
        )
    rows, known = _told(table, steps_per_epoch, every, notes)
    rows = max(1, min(rows, len(table)))
    if len(table) // rows > MAX_EPOCHS:
        raise InvalidHistory(
            f"{table.source}: {len(table) // rows:,} epochs; allowed: {MAX_EPOCHS:,}. Give more steps_per_epoch"
        )
    left = len(table) % rows
    if left and known:
        notes.append(f"the last {left} rows, of an unfinished epoch, count with epoch {len(table) // rows}")
    return rows, known


def _told(table: Table, steps_per_epoch: int | None, every: int, notes: list[str]) -> tuple[int, bool]:
    if steps_per_epoch is not None:
        if steps_per_epoch > (steps := steps_of(table)):
            notes.append(f"there are fewer than {steps_per_epoch} steps: they are looked at as one epoch")
        epochs = steps // steps_per_epoch
        rows = _nearest(steps_per_epoch / every, len(table), epochs)
        return rows, _are_known(table, rows, epochs, notes)
    if EPOCH in table.columns:
        return _of_column(table, table.columns[EPOCH], notes)
    rows = max(WINDOW_UPDATES, math.ceil(len(table) / BLOCKS))
    notes.append(f"nothing says where epochs end; every {min(rows, len(table))} rows are called one (steps_per_epoch)")
    return rows, False


def _nearest(mean: float, total: int, epochs: int) -> int:
    """The whole number next to the mean number of rows an epoch that parts all rows into about so many epochs."""
    rows = {max(1, math.floor(mean)), max(1, math.ceil(mean))}
    return min(sorted(rows), key=lambda count: abs(total // count - epochs))


def _are_known(table: Table, rows: int, epochs: int, notes: list[str]) -> bool:
    """Whether epochs of so many rows are the trainer's own, of which there are `epochs`."""
    made = len(table) // rows
    if abs(made - epochs) <= 1:
        return True
    called = "each row is" if rows == 1 else f"every {rows} rows are"
    notes.append(
        f"{called} called an epoch, which makes {made} of the trainer's {epochs}: epochs of findings are not its own. "
        "Log every step, or as many rows in each epoch"
    )
    return False


def _of_column(table: Table, column: Column, notes: list[str]) -> tuple[int, bool]:
    """Rows of the same epoch, and whether they give the epochs of the column."""
    numbers, counts = np.unique(np.floor(column.values), return_counts=True)
    epochs = int(numbers[-1] - numbers[0]) + 1  # those without a row as well
    if numbers[0] != 1:
        notes.append(f"'{column.name}' begins at {numbers[0]:.0f}; epochs are counted from 1 here")
    if (counts == 1).all():
        notes.append(
            f"there is one row an epoch, {len(table)} in all: rules that look {WINDOW_UPDATES} steps back "
            + ("see as many epochs" if len(table) >= WINDOW_UPDATES else "say nothing. Log every step")
        )
        return 1, _are_known(table, 1, epochs, notes)
    whole, last = counts[:-1], int(counts[-1])
    if len(whole) == 0:
        return last, True
    if (whole == whole[0]).all() and last <= whole[0]:
        return int(whole[0]), _are_known(table, int(whole[0]), epochs, notes)
    rows = _nearest(len(table) / len(counts), len(table), len(counts))
    known = _are_known(table, rows, epochs, notes)
    if known:
        notes.append(
            f"epochs of '{column.name}' have {counts.min()} to {counts.max()} rows; {rows} are called one, so epochs "
            "of findings are about right"
        )
    return rows, known
