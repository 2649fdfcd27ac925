"""The diagnosis of a training while it runs elsewhere: after each epoch, from what its trainer has sent by then.

Names, objectives and scales are understood as in any log. Epochs are where the trainer says that they end, and need not
be equally long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ganlib.diagnosis.history import History
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.foreign_logs.column_names import ORDERS, STEP, InvalidHistory, signal_of
from ganlib.foreign_logs.history import EVALUATION, Reading, diagnose_epoch, read_history
from ganlib.foreign_logs.reading.sheet import RawColumn, Sheet
from ganlib.foreign_logs.reading.understand import tables_of
from ganlib.foreign_logs.table import Floats, Table
from ganlib.records import STEP_COLUMNS, EpochEvaluation
from ganlib.step_blocks import is_absent

SOURCE = "what was sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a trainer has sent."""

    columns: Mapping[str, Floats]
    """[n] numbers of each step by the trainer's names; `ABSENT` where a step has none."""
    ends: Sequence[int]
    """Steps that were sent when each epoch ended, from the first epoch on; the last is n."""
    objective: str | None = None
    """None: inferred."""
    epochs_total: int | None = None
    """None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is known after an epoch."""

    diagnosis: Diagnosis
    steps: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    """[m, len(STEP_COLUMNS)], those of the last epoch as they were understood; not-a-number where nothing is known."""


@np.errstate(over="ignore", invalid="ignore")
def judge(sent: Sent, evaluations: Sequence[EpochEvaluation], previous: Diagnosis | None) -> Judged:
    """The diagnosis after the last epoch that was sent; `previous` is that of the epoch before, None of the first.

    What was sent and cannot be understood is said in its reason; the fakes, where there are evaluations, speak then.
    """
    count, epoch = (sent.ends[-1] if sent.ends else 0), len(sent.ends)
    first = sent.ends[-2] if epoch > 1 else 0
    blank = np.full((count - first, len(STEP_COLUMNS)), np.nan, np.float32)
    seen = tuple(e for e in evaluations if e.epoch <= epoch)
    try:
        reading, rows = _read(sent, count)
    except InvalidHistory as error:
        return Judged(diagnosis=_of_fakes_alone(sent, seen, previous, epoch, str(error)), steps=blank)
    found = diagnose_epoch(reading, seen, previous, epoch=epoch, epochs_total=sent.epochs_total or epoch)
    steps, inside = reading.history.steps, rows >= first
    blank[rows[inside] - first] = steps[inside]
    return Judged(diagnosis=found, steps=blank)


def _read(sent: Sent, count: int) -> tuple[Reading, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """The history, and the number of the step, from 0, that each of its rows is."""
    table = _table(sent, count)
    given = np.zeros(len(table), np.bool_)
    for signal, column in table.columns.items():
        if signal not in ORDERS:
            given |= column.given
    reading = read_history(table, objective=sent.objective)
    rows = (table.lines - 1)[given]
    if len(rows) != len(reading.history.steps):
        raise InvalidHistory(f"{SOURCE}: its steps cannot be told apart")
    every = _updates_per_step(sent.columns.get(STEP), count)
    return (reading if every is None else _with_updates(reading, every)), rows


def _table(sent: Sent, count: int) -> Table:
    epochs = np.searchsorted(np.asarray(sent.ends), np.arange(count), side="right").astype(np.float64) + 1
    raw = {
        name: RawColumn(numbers=values[:count], given=given, digits=None)
        for name, values in sent.columns.items()
        if signal_of(name) not in ORDERS and _goes_on(given := ~is_absent(values[:count]))
    }
    raw["epoch"] = RawColumn(numbers=epochs, given=np.ones(count, np.bool_), digits=None)
    tables = tables_of(Sheet(source=SOURCE, columns=raw, lines=np.arange(1, count + 1), place="step", form="watched"))
    first = tables[0]
    if len(tables) == 1:
        return first
    others = ", ".join(repr(table.name) for table in tables[1:])
    return replace(first, notes=(*first.notes, f"of several games '{first.name}' was looked at, not {others}"))


def _goes_on(given: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> bool:
    """Whether the last number is no further back than numbers of this name are apart."""
    where = np.flatnonzero(given)
    return bool(len(where)) and len(given) - int(where[-1]) <= max(1, int(np.diff(where, prepend=-1).max()))


def _updates_per_step(numbers: Floats | None, count: int) -> float | None:
    """Updates from one step that was sent to the next, where the trainer numbers them; None where it does not."""
    if numbers is None or count < 2:
        return None
    advances = np.diff(numbers[:count][np.isfinite(numbers[:count])])
    advances = advances[advances > 0]
    return float(np.median(advances)) if len(advances) else None


def _with_updates(reading: Reading, every: float) -> Reading:
    def counted(history: History) -> History:
        return replace(history, updates_per_row=every)

    suspected = reading.suspected
    return replace(
        reading,
        history=counted(reading.history),
        others=tuple((way, counted(history)) for way, history in reading.others),
        suspected=None if suspected is None else (suspected[0], counted(suspected[1])),
    )


def _of_fakes_alone(
    sent: Sent, seen: tuple[EpochEvaluation, ...], previous: Diagnosis | None, epoch: int, why: str
) -> Diagnosis:
    """The diagnosis where no number that was sent is understood."""
    found = diagnose(
        History(
            objective="other",
            steps_per_epoch=1,
            epochs_total=sent.epochs_total or epoch,
            steps=np.empty((0, len(STEP_COLUMNS)), np.float32),
            columns=(),
            evaluations=seen,
            previous=previous,
            epochs=epoch,
        )
    )
    missing = (*STEP_COLUMNS, *(() if seen else (EVALUATION,)))
    return replace(found, missing=missing, reason=found.reason if found.findings else why)
