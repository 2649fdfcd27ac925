"""Rows made whole: what a trainer prints over several lines, what is cut off, and what an earlier start left."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ganlib.foreign_logs.column_names import EPOCH, KIMG, ORDERS, STEP
from ganlib.foreign_logs.table import Column, Flags, Floats, Table, by_step, last_of_each

MOST_STARTS = 50
"""More places where the count goes back are no restarts, but rows out of order."""
COUNTS_IN_EPOCH = re.compile(r"batch|^it$|^iters?$|^i$", re.I)
ALIKE = 1.05
"""How much longer the longest of epochs may be than the shortest."""
TAIL = 0.05
"""Share of rows at the end that may lack a column, and are left out for it."""


def complete_rows(table: Table, *, printed: bool) -> Table:
    """Rows that hold a value and all that puts them in order.

    Of printed lines those that belong together become one row: `Step 100` and below it a line for each network.
    """
    if printed and not _all_given(table):
        table = without_early_ends(_with_orders(_joined(table)))
    return table


def rows_by_step(table: Table) -> Table:
    """Values that have a row each as a row for each step."""
    if STEP not in table.columns or not np.isfinite(table.columns[STEP].values).all():
        return table
    return without_early_ends(_with_orders(by_step(_one_start_of_each(table))))


def _all_given(table: Table) -> bool:
    return all(column.given.all() for column in table.columns.values())


def _values(table: Table) -> list[str]:
    return [signal for signal in table.columns if signal not in ORDERS]


# --- lines that are one row ------------------------------------------------------------------------------------


def _joined(table: Table) -> Table:
    """Lines in a row that have no column in common as one row."""
    given = np.stack([column.given for column in table.columns.values()])
    masks = (given * (1 << np.arange(len(given)))[:, None]).sum(axis=0)
    table, masks = table.take(masks > 0), masks[masks > 0]
    values = sum(1 << at for at, signal in enumerate(table.columns) if signal not in ORDERS)
    starts: list[int] = []
    held = -1
    for row, mask in enumerate(masks.tolist()):
        if held & mask or (held & values and not mask & values):  # a count begins what comes after it
            starts.append(row)
            held = mask
        else:
            held |= mask
    if len(starts) == len(table) or not starts:
        return table
    at = np.array(starts)
    columns = {signal: last_of_each(column, at) for signal, column in table.columns.items()}
    return replace(table, columns=columns, lines=table.lines[at])


def _with_orders(table: Table) -> Table:
    """With the counts of lines of their own in the rows after them; rows without a value or a count are left out."""
    values = _values(table)
    has_value = np.any([table.columns[signal].given for signal in values], axis=0)
    columns, notes = dict(table.columns), list(table.notes)
    for signal in ORDERS:
        column = columns.get(signal)
        if column is None or column.given.all():
            continue
        column = _carried(column, has_value)
        share = column.given[has_value].mean() if has_value.any() else 0.0
        if share > 0.5:
            columns[signal] = column
        else:  # most rows are not counted by it
            del columns[signal]
            notes.append(f"'{column.name}' counts few of the rows and was left out")
    keep = has_value.copy()
    for signal in ORDERS:
        if signal in columns:
            keep &= columns[signal].given
    missing = int(np.sum(has_value & ~keep))
    if missing:
        notes.append(f"{missing:,} rows say not which step they are of, where others do, and were left out")
    return replace(table, columns=columns, notes=tuple(notes)).take(keep)


def _carried(column: Column, has_value: Flags) -> Column:
    """With the count of the last line in the rows after it, where counts stand on lines without values."""
    rows = np.maximum.accumulate(np.where(column.given, np.arange(len(has_value)), -1))
    alone = column.given & ~has_value
    distinct = len(np.unique(column.values[column.given]))
    first_of_groups = column.given.sum() < 0.5 * has_value.sum()  # one line counts for several rows
    if distinct < 2 or not (alone.any() or first_of_groups):
        return column
    return replace(column, values=column.values[rows], given=rows >= 0)


def without_early_ends(table: Table) -> Table:
    """Without rows that are cut off at the end, and without columns that end long before it."""
    notes = list(table.notes)
    columns = dict(table.columns)
    end = len(table)
    for signal in _values(table):
        given = np.flatnonzero(columns[signal].given)
        if not len(given):
            continue
        longest = int(np.diff(given, prepend=-1).max())
        tail = len(table) - 1 - int(given[-1])
        if tail <= longest - 1:
            continue
        if tail <= max(1, TAIL * len(table)):
            end = min(end, int(given[-1]) + 1)
        elif len(_values(replace(table, columns=columns))) > 1:
            notes.append(f"'{columns[signal].name}' ends at {table.place} {table.lines[given[-1]]} and was left out")
            del columns[signal]
    if end < len(table):
        notes.append(f"{len(table) - end} rows at the end are not whole and were left out")
    return replace(table, columns=columns, notes=tuple(notes)).take(np.arange(end))


# --- starts ----------------------------------------------------------------------------------------------------


def one_start(table: Table) -> Table:
    """Without what an earlier start trained and a later one trained again.

    A training that was begun anew in the same log counts from the beginning again, one that was resumed from where it
    was saved last: rows before, of steps that come again, are left out.
    """
    position = _position(table)
    back = _starts(position) if position is not None else []
    if position is None or not len(back):
        return table
    keep = kept_of_starts(position)
    dropped = int(np.sum(~keep))
    last = int(back[-1])
    count = "once" if len(back) == 1 else f"{len(back)} times"
    note = (
        f"the count goes back {count}, last in {table.place} {table.lines[last]}: "
        f"{dropped:,} rows of earlier starts, of steps that come again, were left out"
    )
    return replace(table, notes=(*table.notes, note)).take(keep)


def _one_start_of_each(table: Table) -> Table:
    """The same of values that have a row each: every column is counted by itself, in the order of the file.

    Files of two starts stand below each other, so that the steps of one column go back where the second one begins.
    """
    steps = table.columns[STEP].values
    columns, dropped, last = dict(table.columns), 0, 0
    for signal, column in table.columns.items():
        rows = np.flatnonzero(column.given)
        starts = [] if signal == STEP else _starts(steps[rows])
        if not starts:
            continue
        again = rows[~kept_of_starts(steps[rows])]
        given = column.given.copy()
        given[again] = False
        columns[signal] = replace(column, given=given)
        dropped, last = dropped + len(again), max(last, int(rows[starts[-1]]))
    if not dropped:
        return table
    note = (
        f"the count goes back, last in {table.place} {table.lines[last]}: {dropped:,} values of earlier starts, of "
        "steps that come again, were left out"
    )
    held = np.any([column.given for signal, column in columns.items() if signal != STEP], axis=0)
    return replace(table, columns=columns, notes=(*table.notes, note)).take(held)


def _position(table: Table) -> Floats | None:
    """[n] what grows along a training; None where nothing does, or steps are counted anew in each epoch."""
    orders = {signal: table.columns[signal] for signal in ORDERS if signal in table.columns}
    if any(not column.given.all() or not np.isfinite(column.values).all() for column in orders.values()):
        return None
    if EPOCH in orders and STEP in orders:
        epochs, steps = orders[EPOCH].values, orders[STEP].values
        if (np.diff(steps)[np.diff(epochs) > 0] <= 0).any():  # counted anew in each
            return epochs * (steps.max() + 1) + steps
        return steps
    if EPOCH in orders:
        return orders[EPOCH].values
    if STEP in orders:
        return None if _counts_in_epochs(orders[STEP]) else orders[STEP].values
    return orders[KIMG].values if KIMG in orders else None


def _counts_in_epochs(column: Column) -> bool:
    """Whether a count that begins anew does so with each epoch, and not with another start."""
    starts = np.flatnonzero(np.diff(column.values) < 0) + 1
    if not len(starts) or COUNTS_IN_EPOCH.search(column.name):
        return True
    lengths = np.diff(np.concatenate([[0], starts, [len(column.values)]]))
    whole: Sequence[int] = lengths[:-1].tolist()
    if len(whole) == 1:
        return bool(lengths[1] == lengths[0])
    return max(whole) <= ALIKE * min(whole)


def kept_of_starts(position: Floats) -> Flags:
    """[n] whether each row is of the last start that trained its step."""
    keep = np.ones(len(position), dtype=np.bool_)
    for start in _starts(position):
        keep[:start] &= position[:start] < position[start]
    return keep


def _starts(position: Floats) -> list[int]:
    """Rows at which a count goes back and then goes on in order, as after a restart; none where rows were shuffled."""
    back = np.flatnonzero(np.diff(position) < 0) + 1
    lengths = np.diff(np.concatenate([[0], back, [len(position)]]))
    if not len(back) or len(back) > MOST_STARTS or len(position) < 3:
        return []
    found: list[int] = back.tolist()
    return found if np.median(lengths) >= 2 and len(back) <= max(1, len(position) // 4) else []
