"""From a table to the columns of a step: what the log gives, what its losses imply of the rest, and what is unknown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ganlib.foreign_logs.column_names import D_ACC, D_G_Z, D_LOSS, D_X, ORDERS
from ganlib.foreign_logs.epochs import are_means
from ganlib.foreign_logs.implied.accuracies import HAVE_PROBABILITIES, AccuracyBounds, Of, accuracy_bounds
from ganlib.foreign_logs.implied.numbers import D_LOSSES, Interval, Numbers
from ganlib.foreign_logs.table import DLoss, Floats, Table
from ganlib.records import STEP_COLUMNS

LOSSES = ("d_loss_real", "d_loss_fake")
CONTRADICTION = 0.05
"""By how much bounds of an accuracy may exclude each other before it is said: generators see other batches."""
NOT_DATA = frozenset({D_X, D_G_Z, D_ACC})
"""Signals that only bound others: where they are no numbers, they say nothing."""
FAMILIES = {"wgan-gp": "wgan", "clamped-bce": "bce"}
"""Objectives that numbers cannot tell from another."""
Part = tuple[Of, Literal["d_loss_real", "d_loss_fake"], str]
PARTS: tuple[Part, ...] = (("real", "d_loss_real", D_X), ("fake", "d_loss_fake", D_G_Z))


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSignals:
    """The columns of a step, as far as they are known under one objective and one meaning of `d_loss`."""

    series: dict[str, Floats]
    """By STEP_COLUMNS; of an accuracy that is only bounded, its estimate."""
    bounded: tuple[str, ...]
    """Those of which only bounds, or a mean with another, are known."""
    notes: tuple[str, ...]


def numbers_of(table: Table, d_loss: DLoss | None, objectives: Sequence[str]) -> Numbers:
    """The table's numbers with their rounding; `d_loss` is what somebody says, and the format's word comes next."""
    columns = {
        signal: Interval.printed(column.values, column.half_width())
        for signal, column in table.columns.items()
        if signal not in ORDERS
    }
    return Numbers(
        columns=columns,
        d_loss=d_loss or table.d_loss,
        objectives=tuple(dict.fromkeys(FAMILIES.get(name, name) for name in objectives)),
        are_means=are_means(table),
    )


def known_signals(table: Table, numbers: Numbers, objective: str, d_loss: DLoss) -> KnownSignals:
    """What is known under the objective, where `d_loss` is that of its parts."""
    numbers = replace(numbers, d_loss=d_loss)
    kept = {name: numbers.columns[name] for name in STEP_COLUMNS if name in numbers.columns}
    series = {name: _as_given(table, name, column) for name, column in kept.items()}
    bounded: list[str] = []
    notes: list[str] = []
    if D_LOSS in numbers.columns:
        bounded += _split(table, numbers, series, notes)
    for of, found in accuracy_bounds(numbers, objective).items():
        name = f"d_acc_{of}"
        if name in series or not found.by:
            continue
        series[name] = found.estimate
        bounded.append(name)
        used = [repr(_column_of(table, signal)) for signal in dict.fromkeys(found.by)]
        notes.append(f"{name} was not recorded; {' and '.join(used)} bound it")
        notes += _contradiction(table, name, found, used)
    notes += _no_probabilities(table, numbers, objective)
    return KnownSignals(series=series, bounded=tuple(bounded), notes=tuple(notes))


def _as_given(table: Table, signal: str, column: Interval) -> Floats:
    """The numbers in our units; what was infinite stays so.

    Of a loss of the discriminator the most that would print so: 0.0000 is no 0, and to be near 0 is what counts.
    """
    given = table.columns[signal].values
    known = np.where(column.middle >= 0, column.high, column.middle) if signal in D_LOSSES else column.middle
    return np.where(np.isnan(known), given, known)


def _column_of(table: Table, signal: str) -> str:
    """What the trainer calls the signal; a part of a loss is had from the whole of it."""
    return table.columns[signal if signal in table.columns else D_LOSS].name


def _split(table: Table, numbers: Numbers, series: dict[str, Floats], notes: list[str]) -> Sequence[str]:
    """Gives the parts that the discriminator's loss is of; those of which only the mean is known."""
    name = table.columns[D_LOSS].name
    known = [part for part in LOSSES if part in series]
    if len(known) == len(LOSSES):
        notes.append(f"'{name}' is not needed where both its parts are known")
        return ()
    given = _as_given(table, D_LOSS, numbers.columns[D_LOSS])
    mean = given / 2 if numbers.d_loss == "sum" else given
    for part in LOSSES:
        if part not in series:
            series[part] = 2 * mean - series[known[0]] if known else mean
    return () if known else LOSSES


def _contradiction(table: Table, name: str, found: AccuracyBounds, used: Sequence[str]) -> list[str]:
    """A loss that only a discriminator that is right can have, and probabilities of one that is wrong."""
    low, high = found.bounds.low, found.bounds.high
    wrong = low > high + CONTRADICTION
    if not wrong.any():
        return []
    first = int(np.argmax(wrong))
    return [
        f"{table.at(first)}: the first of {wrong.sum()} rows in which {' and '.join(used)} contradict each other "
        f"({name} at least {low[first]:.2f} by one, at most {high[first]:.2f} by another). Are labels of reals and "
        "fakes swapped, or values of one row from different batches?"
    ]


def _no_probabilities(table: Table, numbers: Numbers, objective: str) -> list[str]:
    """Says which mean outputs are beyond what a sigmoid gives."""
    notes: list[str] = []
    for _, _, signal in PARTS:
        column = numbers.get(signal)
        if column is None or objective not in HAVE_PROBABILITIES:
            continue
        wrong = column.finite & ((column.low > 1) | (column.high < 0))
        if wrong.any():
            row = int(np.argmax(wrong))
            given = table.columns[signal]
            notes.append(f"{table.at(row, given)}: {given.values[row]:g} is no probability; not used")
    return notes


def not_finite(table: Table, series: dict[str, Floats]) -> list[str]:
    """Says where the numbers that are none begin, and whether they are data."""
    notes: list[str] = []
    parts_known = all(name in table.columns for name in LOSSES)
    for signal, column in table.columns.items():
        wrong = ~np.isfinite(column.values)
        if signal in ORDERS or not wrong.any():
            continue
        kept = signal in series or (signal == D_LOSS and not parts_known)
        first = table.at(int(np.argmax(wrong)), column)
        use = "kept as data" if kept else "not used"
        notes.append(f"{first}: the first of {wrong.sum()} values that are not finite; {use}")
    return notes
