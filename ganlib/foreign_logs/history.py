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

from ganlib.diagnosis.history import FEWEST_ROWS, History
from ganlib.diagnosis.prescribe import PRESCRIPTIONS, REMEDIES
from ganlib.diagnosis.replay import replay
from ganlib.diagnosis.rules import dated, diagnose
from ganlib.diagnosis.thresholds import WINDOW_UPDATES
from ganlib.diagnosis.verdict import Diagnosis, Finding, Remedy
from ganlib.findings import FindingName
from ganlib.foreign_logs.agreement import Conditional, ReadingAs, agreed, only_under, without
from ganlib.foreign_logs.column_names import D_LOSS, InvalidHistory
from ganlib.foreign_logs.epochs import are_means, rows_per_epoch, updates_per_row
from ganlib.foreign_logs.implied.answer import Implied, implications, rules_of, suspect, would_decide
from ganlib.foreign_logs.implied.excluded import excluded
from ganlib.foreign_logs.implied.faults import is_at_chance
from ganlib.foreign_logs.implied.numbers import Interval, Numbers
from ganlib.foreign_logs.known import LOSSES, KnownSignals, known_signals, not_finite, numbers_of
from ganlib.foreign_logs.objectives import OBJECTIVES
from ganlib.foreign_logs.printed_rules import with_printed_rules
from ganlib.foreign_logs.table import Arrays, DLoss, Table, arranged, table_of
from ganlib.records import STEP_COLUMNS, EpochEvaluation

MEANS_OF_EPOCHS = 0.8
"""How sure a finding is that rests on means over many updates, of what it would be by every step."""
SUGGESTIONS = 4
"""Remedies that are named for a finding: its most likely ones."""

EVALUATION, LAYERS = "fakes and reals", "gradients of layers"
ACCURACIES = ("d_acc_real", "d_acc_fake")
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
    implied: Implied
    """What the numbers say of the objective, the units, the discriminator and the code."""
    read_as: ReadingAs
    others: tuple[tuple[ReadingAs, History], ...] = ()
    """The history as the other objectives and units read it that the numbers leave."""
    suspected: tuple[ReadingAs, History] | None = None
    """As an objective reads it that the trainer is known for, or that is the usual one, and that a relation between
    numbers refutes: a contradiction, which may be the code's."""
    are_means: bool = False
    """Whether a row is the mean over many updates."""

    def numbers_as(self, way: ReadingAs) -> Numbers:
        """The numbers as one of the readings takes them, with its meaning of `d_loss` where that is not known."""
        numbers = self.implied.numbers_under(way.objective)
        meaning: DLoss | None = "sum" if way.d_loss == "sum" else "mean" if way.d_loss == "mean" else numbers.d_loss
        return replace(numbers, d_loss=meaning)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryDiagnosis:
    """What a history shows."""

    diagnosis: Diagnosis
    """Of the whole history; findings and episodes have the epochs in which they held."""
    reading: Reading
    unsaid: dict[str, tuple[FindingName, ...]]
    """What is missing → the findings that are seen too late or not at all without it."""
    conditional: tuple[Conditional, ...] = ()
    """Findings that hold under some readings of the numbers only, and are therefore not among the diagnosis'."""

    @property
    def would_decide(self) -> str:
        """What more would tell most; empty where the verdict needs nothing more."""
        if self.conditional:
            return f"say which it is: {' or '.join(self.conditional[0].options)}"
        if self.diagnosis.verdict not in ("undetermined", "healthy") or self.reading.history.evaluations:
            return ""
        left = self.reading.implied.left
        return would_decide(self.reading.implied, by_objective=len(left) > 1 and "bce" not in left)

    @property
    def excluded(self) -> dict[FindingName, str]:
        """What the numbers rule out, and why."""
        found = {finding.name for finding in self.diagnosis.findings}
        return {name: why for name, why in excluded(self.reading.implied).items() if name not in found}

    def to_json(self) -> dict[str, Any]:
        """Plain types only; non-finite numbers become None."""
        history = self.reading.history
        last = history.evaluations[-1] if history.evaluations else None
        return {
            "steps": len(history.steps),
            "steps_per_epoch": history.steps_per_epoch,
            "epochs_known": self.reading.epochs_known,
            "updates": history.updates,
            "objective": history.objective,
            "signals": self.reading.sources,
            "left_out": list(self.reading.left_out),
            "notes": list(self.reading.notes),
            "implied": self.reading.implied.to_json() | {"would_decide": self.would_decide, "excluded": self.excluded},
            "conditional": [conditional.to_json() for conditional in self.conditional],
            "unsaid": {name: list(findings) for name, findings in self.unsaid.items()},
            "diagnosis": self.diagnosis.to_json(),
            "evaluation": None if last is None else last.to_json(),
        }


def diagnose_history(
    columns: Arrays,
    *,
    objective: str | None = None,
    steps_per_epoch: int | None = None,
    d_loss: DLoss | None = None,
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
    columns: Arrays | Table,
    *,
    objective: str | None = None,
    steps_per_epoch: int | None = None,
    d_loss: DLoss | None = None,
) -> Reading:
    """The history that the columns hold.

    `objective` and `d_loss`, which is what a column of that name is of its two parts, are inferred where they are None.

    Raises:
        InvalidHistory: saying which column, which row, and what to do.
    """
    _check(objective, steps_per_epoch, d_loss)
    table, notes = arranged(columns if isinstance(columns, Table) else table_of(columns))
    every = updates_per_row(table, steps_per_epoch, notes)
    rows, epochs_known = rows_per_epoch(table, steps_per_epoch, notes)
    empty = History(
        objective="other",
        steps_per_epoch=rows,
        epochs_total=len(table) // rows,
        steps=np.empty((0, len(STEP_COLUMNS)), np.float32),
        updates_per_row=every,
    )
    implied = implications(numbers_of(table, d_loss, table.objectives), empty.rows_of(WINDOW_UPDATES), objective)
    ways = _ways(table, implied, objective)
    known = [(way, known_signals(table, implied.numbers_under(name), way[1], way[2])) for name, way in ways]
    (own, found), *rest = known
    return Reading(
        history=_filled(empty, own[1], found),
        sources={signal: column.name for signal, column in table.columns.items()},
        left_out=table.left_out,
        bounded=found.bounded,
        missing=tuple(name for name in STEP_COLUMNS if name not in found.series or name in found.bounded),
        epochs_known=epochs_known,
        notes=(
            *notes,
            *implied.said,
            *_meaning(table, implied, own[2]),
            *found.notes,
            *not_finite(table, found.series),
        ),
        implied=implied,
        read_as=own[0],
        others=tuple((way[0], _filled(empty, way[1], other)) for way, other in rest),
        suspected=_suspected(table, implied, empty, own[2]),
        are_means=are_means(table),
    )


def _check(objective: str | None, steps_per_epoch: int | None, d_loss: str | None) -> None:
    if objective is not None and objective not in OBJECTIVES:
        raise InvalidHistory(f"objective: '{objective}' is not known; allowed: {', '.join(OBJECTIVES)}")
    if d_loss not in (None, "mean", "sum"):
        raise InvalidHistory(f"d_loss: '{d_loss}' is not known; allowed: mean, sum")
    if steps_per_epoch is not None and steps_per_epoch < 1:
        raise InvalidHistory(f"steps_per_epoch: {steps_per_epoch}; allowed: 1 and more")


_Way = tuple[ReadingAs, str, DLoss]
"""How the numbers are read: in words, the objective that rules know, and what `d_loss` is."""


def _ways(table: Table, implied: Implied, told: str | None) -> list[tuple[str, _Way]]:
    """Every way in which the numbers can be read, with the objective in its family; the one that is taken first."""
    whole = D_LOSS in table.columns and not all(part in table.columns for part in LOSSES)
    known = implied.numbers.d_loss
    meanings: tuple[DLoss, ...] = (known,) if known else ("mean", "sum") if whole else ("mean",)
    ways: list[tuple[str, _Way]] = []
    for name in implied.left:
        rules = told or rules_of(name)
        for meaning in meanings if rules not in NO_PARTS else meanings[:1]:
            way = ReadingAs(
                objective=name if told is None else rules,
                option=f"--objective {rules}" if told is None else "",
                d_loss=meaning if len(meanings) > 1 and rules not in NO_PARTS else "",
            )
            ways.append((name, (way, rules, meaning)))
    return ways


def _suspected(table: Table, implied: Implied, empty: History, d_loss: DLoss) -> tuple[ReadingAs, History] | None:
    name = suspect(implied)
    if name is None:
        return None
    known = known_signals(table, implied.numbers_under(name), name, d_loss)
    return ReadingAs(objective=name, option=f"--objective {name}"), _filled(empty, name, known)


NO_PARTS = ("wgan", "wgan-gp", "other")
"""Objectives under which it does not matter whether the discriminator's loss is a sum."""


def _filled(empty: History, objective: str, known: KnownSignals) -> History:
    rows = max((len(values) for values in known.series.values()), default=0)
    steps = np.full((rows, len(STEP_COLUMNS)), np.nan, dtype=np.float32)
    for name, values in known.series.items():
        steps[:, STEP_COLUMNS.index(name)] = values
    return replace(
        empty,
        objective=objective,
        steps=steps,
        columns=tuple(name for name in STEP_COLUMNS if name in known.series),
        bounded=known.bounded,
    )


def _meaning(table: Table, implied: Implied, taken: DLoss) -> list[str]:
    """What the discriminator's loss was taken for, where its parts are not both there."""
    if D_LOSS not in table.columns or all(part in table.columns for part in LOSSES):
        return []
    known = "" if implied.numbers.d_loss else "; where it is their sum, as in DCGAN's tutorial, say so: --d-loss sum"
    return [f"'{table.columns[D_LOSS].name}' was taken for the {taken} of its parts on reals and on fakes{known}"]


@np.errstate(over="ignore", invalid="ignore")
def diagnose_reading(reading: Reading, evaluations: Sequence[EpochEvaluation] = ()) -> HistoryDiagnosis:
    """The diagnosis of every epoch in turn, and of what follows the last whole one; the last of them."""
    seen = tuple(sorted(evaluations, key=lambda e: e.epoch))
    history = replace(reading.history, evaluations=seen)
    last: Diagnosis | None = None
    for found in replay(history):
        last = found
    if last is None or len(history.steps) % history.steps_per_epoch:
        last = diagnose(replace(history, previous=last))
    return _judged(reading, history, last)


@np.errstate(over="ignore", invalid="ignore")
def diagnose_epoch(
    reading: Reading,
    evaluations: Sequence[EpochEvaluation],
    previous: Diagnosis | None,
    *,
    epoch: int,
    epochs_total: int,
) -> Diagnosis:
    """The diagnosis of a history that ends with this epoch, whose forerunner had the diagnosis `previous`.

    Of what it lacks, fakes and reals are named, too.
    """
    seen = tuple(sorted(evaluations, key=lambda e: e.epoch))

    def ended(history: History) -> History:
        return replace(history, epochs=epoch, epochs_total=epochs_total)

    suspected = reading.suspected
    reading = replace(
        reading,
        others=tuple((way, ended(other)) for way, other in reading.others),
        suspected=None if suspected is None else (suspected[0], ended(suspected[1])),
    )
    history = replace(ended(reading.history), evaluations=seen, previous=previous)
    found = dated(_judged(reading, history, diagnose(history)).diagnosis, history)
    return found if seen else replace(found, missing=(*found.missing, EVALUATION))


def _judged(reading: Reading, history: History, last: Diagnosis) -> HistoryDiagnosis:
    """What the last diagnosis comes to, under every way in which the numbers can be read."""
    seen, numbers = history.evaluations, reading.numbers_as(reading.read_as)
    last = with_printed_rules(_of_any_scale(_with_a_margin(last, reading), reading), history, numbers)
    others = [
        (way, with_printed_rules(diagnose(replace(other, evaluations=seen)), other, reading.numbers_as(way)))
        for way, other in reading.others
        if _is_harmed(last)
    ]
    last, conditional = agreed(last, reading.read_as, others)
    if reading.suspected is not None and not conditional:
        way, other = reading.suspected
        told = only_under(way, diagnose(replace(other, evaluations=seen)), reading.read_as)
        conditional = tuple(one for one in told if one.finding.name not in {f.name for f in last.findings})
    if last.verdict == "undetermined" and not last.findings and not conditional and not seen:
        last = replace(last, reason=_nothing_seen(history))
    missing = [*reading.missing, *([] if seen else [EVALUATION]), LAYERS]
    findings = tuple(_without_spec(finding, reading) for finding in last.findings)
    return HistoryDiagnosis(
        diagnosis=replace(last, findings=findings, missing=reading.missing),
        reading=replace(reading, history=history),
        unsaid=_unsaid(missing),
        conditional=conditional,
    )


def _nothing_seen(history: History) -> str:
    if history.updates < WINDOW_UPDATES or len(history.steps) < FEWEST_ROWS:
        return f"{len(history.steps)} rows of {history.updates} updates say little; a verdict needs {WINDOW_UPDATES}"
    return "nothing in the log is known to be wrong; whether the samples are good is seen in fakes only"


def _is_harmed(found: Diagnosis) -> bool:
    return any(finding.severity != "mild" for finding in found.findings)


def _of_any_scale(found: Diagnosis, reading: Reading) -> Diagnosis:
    """Without a divergence by size where losses may be the scores of a critic, which have no scale."""
    if "wgan" not in reading.implied.left or reading.implied.is_told:
        return found
    kept = [f for f in found.findings if f.name != "divergence" or not math.isfinite(f.evidence[0].value)]
    reason = "losses are large, as the scores of a critic may be; whether they grow without end is seen by their curve"
    return without(found, kept, reason) if len(kept) < len(found.findings) else found


def _with_a_margin(found: Diagnosis, reading: Reading) -> Diagnosis:
    """Without a discriminator that only seems dead: accuracies of 0 and 1 beside losses of log 2 are a coin's edge."""
    total, last = reading.implied.numbers.total, reading.implied.last
    if total is None or reading.history.objective not in ("bce", "clamped-bce", "saturating-bce"):
        return found
    if not is_at_chance(Interval(low=total.low[-last:], high=total.high[-last:])):
        return found
    kept = [finding for finding in found.findings if finding.name != "convergence failure: discriminator inert"]
    reason = "losses are those of 1/2 for every sample: accuracies that may have no margin show no dead discriminator"
    return without(found, kept, reason) if len(kept) < len(found.findings) else found


def _without_spec(finding: Finding, reading: Reading) -> Finding:
    """With the reasons of its usual remedies, for no spec says which apply; less sure where signals are only bounded.

    For those that are missing altogether rules have made it less sure, by as much each.
    """
    names = PRESCRIPTIONS[finding.name][:SUGGESTIONS]
    remedies = tuple(Remedy(name=name, reason=REMEDIES[name][0], patch={}) for name in names)
    sure = 1 - len(reading.bounded) / (2 * len(STEP_COLUMNS))
    sure *= MEANS_OF_EPOCHS if reading.are_means else 1.0
    return replace(finding, remedies=remedies).less_sure(sure)


def _unsaid(missing: Sequence[str]) -> dict[str, tuple[FindingName, ...]]:
    hidden: dict[str, tuple[FindingName, ...]] = {
        name: tuple(finding for finding, needs in NEEDS.items() if name in needs) for name in missing
    }
    return {name: findings for name, findings in hidden.items() if findings}
