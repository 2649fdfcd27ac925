"""A history as somebody else's trainer wrote it: columns by signal, rows in any order, some cells empty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ganlib.foreign_logs.column_names import EPOCH, KIMG, ORDERS, STEP, InvalidHistory, assign

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
MAX_ROWS = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    name: str
    """As the trainer calls it."""
    values: Floats
    """[n]; not-a-number and infinities are data."""
    given: Flags
    """[n] whether the cell holds anything."""
    decimals: int | None = None
    """Most digits that are printed behind the point; None where values were never text, and are exact."""
    significant: int | None = None
    """Most digits that are printed from the first that is not 0 on."""
    factor: float = 1.0
    """What the printed numbers were multiplied by to give `values`; -0.5 where (1 - sign) / 2 was taken, say."""

    def half_width(self) -> Floats:
        """[n] how far each value may lie from what the trainer had: half of the last digit that it prints.

        Trailing zeros may have been dropped, so the most digits of the whole column count; 0.0000 may be up to 5e-5.
        """
        if self.decimals is None or self.significant is None:
            return np.zeros(len(self.values))
        with np.errstate(divide="ignore", invalid="ignore"):
            leading = np.floor(np.log10(np.abs(self.values / self.factor))) + 1 - self.significant
        leading = np.where(np.isfinite(leading), leading, -np.inf)
        return 0.5 * abs(self.factor) * 10.0 ** np.maximum(leading, -float(self.decimals))


DLoss = Literal["mean", "sum"]
"""What a single loss of the discriminator is of its parts on reals and on fakes."""
RowSpan = Literal["update", "tick", "epoch"]
"""What the values of a row are of: of one update, or the mean over all updates since the row before, or of an epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was read of one game of one training, by signal (`ganlib.foreign_logs.column_names`)."""

    source: str
    """What messages call it: the file's name."""
    columns: dict[str, Column]
    left_out: tuple[str, ...]
    """Names of columns that hold no signal."""
    lines: Rows
    """[n] where each row lies, from 1."""
    place: str = "line"
    """What `lines` counts."""
    name: str = ""
    """Which of several games or runs in one log it is, as the trainer calls it: `A` of CycleGAN's, a run of W&B."""
    format: str = ""
    """Whose log it is (`ganlib.foreign_logs.formats`); empty where only the names of columns were known."""
    d_loss: DLoss | None = None
    """What the format's `d_loss` is for certain."""
    objectives: tuple[str, ...] = ()
    """What the format's trainer minimises unless it is told otherwise: a hint, not a fact."""
    row_span: RowSpan = "update"
    epoch_steps: int | None = None
    """How many steps an epoch has; None where nothing says."""
    batch_size: int | None = None
    """Where `kimg` counts images: how many an update takes; None where nothing says."""
    notes: tuple[str, ...] = ()
    """What was done to read it, and what was left out, a sentence each."""

    def __len__(self) -> int:
        return len(self.lines)

    def at(self, row: int, column: Column | None = None) -> str:
        """`history.csv, line 7, column 'd_loss'`."""
        where = f"{self.source}, {self.place} {self.lines[row]}"
        return where if column is None else f"{where}, column '{column.name}'"

    def take(self, chosen: Rows | Flags) -> "Table":
        """The chosen rows."""
        columns = {
            signal: replace(column, values=column.values[chosen], given=column.given[chosen])
            for signal, column in self.columns.items()
        }
        return replace(self, columns=columns, lines=self.lines[chosen])


Arrays = Mapping[str, Any]
"""One-dimensional sequences of numbers, by the names of their columns."""


def table_of(arrays: Arrays, source: str = "the history") -> Table:
    """A table of arrays; what holds no signal is not looked at.

    Raises:
        InvalidHistory: it names the column that has other than numbers, or not as many as the others.
    """
    names = {str(name): values for name, values in arrays.items()}
    chosen, left_out = assign(source, list(names))
    columns = {signal: _column(source, name, names[name]) for signal, name in chosen.items()}
    first = next(iter(columns.values()))
    for column in columns.values():
        if len(column.values) != len(first.values):
            raise InvalidHistory(
                f"{source}: '{first.name}' has {len(first.values)} values, '{column.name}' {len(column.values)}; "
                "give one value a step in each"
            )
    lines = np.arange(1, len(first.values) + 1)
    return Table(source=source, columns=columns, left_out=left_out, lines=lines, place="row")


def _column(source: str, name: str, values: Any) -> Column:
    try:
        array: Floats = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidHistory(f"{source}: '{name}' holds other things than numbers; give one number a step") from None
    if array.ndim != 1 or len(array) > MAX_ROWS:
        raise InvalidHistory(
            f"{source}: '{name}' has the shape {list(array.shape)}; give a list of numbers, at most {MAX_ROWS:,}"
        )
    return Column(name=name, values=array, given=np.ones(len(array), dtype=np.bool_))


def arranged(table: Table) -> tuple[Table, list[str]]:
    """The rows in the order of their epochs and steps, each step once, every cell filled; and what was done for it.

    Raises:
        InvalidHistory: there is no row, or an order or a cell cannot be told.
    """
    notes = list(table.notes)
    for act in (_with_values, _with_epochs, _sorted, _merged, _filled):
        table = act(table, notes)
    _say_gaps(table, notes)
    return table, notes


def _with_values(table: Table, notes: list[str]) -> Table:
    """Without the rows that hold no signal."""
    given = np.zeros(len(table), dtype=np.bool_)
    for signal, column in table.columns.items():
        if signal not in ORDERS:
            given |= column.given
    if not given.any():
        raise InvalidHistory(f"{table.source} holds names of columns and no values; log at least one step")
    if not given.all():
        notes.append(f"{np.sum(~given)} rows hold no signal that is known and were left out")
    return table.take(given)


def _with_epochs(table: Table, notes: list[str]) -> Table:
    """With an epoch column where steps are counted anew in each epoch."""
    for signal in (EPOCH, STEP):
        if signal in table.columns:
            _check_whole(table, table.columns[signal], allow_parts=signal == EPOCH)
    if EPOCH in table.columns or STEP not in table.columns:
        return table
    column = table.columns[STEP]
    starts = np.flatnonzero(np.diff(column.values) < 0) + 1
    if not len(starts) or (column.values[starts] != column.values[0]).any():
        return table
    notes.append(f"'{column.name}' starts anew {len(starts)} times: each time was taken for an epoch")
    epochs = np.zeros(len(table))
    epochs[starts] = 1
    counted = Column(name=f"starts of '{column.name}'", values=1 + np.cumsum(epochs), given=column.given)
    return replace(table, columns={**table.columns, EPOCH: counted})


def _check_whole(table: Table, column: Column, *, allow_parts: bool) -> None:
    values = np.floor(column.values) if allow_parts else column.values
    wrong = ~np.isfinite(values) | (values != np.floor(values)) | ~column.given
    if wrong.any():
        raise InvalidHistory(
            f"{table.at(int(np.argmax(wrong)), column)}: there is no whole number, which puts rows in order; "
            "write one in every row, or leave the column out"
        )


def _keys(table: Table) -> list[Floats]:
    """What rows are ordered by: the last key counts most."""
    keys = [table.columns[signal].values for signal in (STEP, KIMG) if signal in table.columns][:1]
    return [*keys, np.floor(table.columns[EPOCH].values)] if EPOCH in table.columns else keys


def _sorted(table: Table, notes: list[str]) -> Table:
    return _in_order(table, _keys(table), notes)


def _in_order(table: Table, keys: Sequence[Floats], notes: list[str]) -> Table:
    if not keys:
        return table
    order = np.lexsort(keys)
    if (order == np.arange(len(order))).all():
        return table
    by = " and ".join(f"'{table.columns[signal].name}'" for signal in ORDERS if signal in table.columns)
    notes.append(f"rows were put in the order of {by}")
    return table.take(order)


def by_step(table: Table) -> Table:
    """One row for each step, in their order; an epoch or an image count is a value as any other here."""
    ordered = _in_order(table, [table.columns[STEP].values], [])
    return _merged_by(ordered, [ordered.columns[STEP].values], [])


def _merged(table: Table, notes: list[str]) -> Table:
    """Rows of the same step as one: of each column the last value that is given."""
    return _merged_by(table, _keys(table), notes) if STEP in table.columns else table


def _merged_by(table: Table, keys: Sequence[Floats], notes: list[str]) -> Table:
    new = np.ones(len(table), dtype=np.bool_)
    new[1:] = np.any([np.diff(key) != 0 for key in keys], axis=0)
    if new.all():
        return table
    starts = np.flatnonzero(new)
    notes.append(f"{len(table) - len(starts)} rows repeat a step; of each column the last value of a step counts")
    columns = {signal: last_of_each(column, starts) for signal, column in table.columns.items()}
    return replace(table, columns=columns, lines=table.lines[starts])


def last_of_each(column: Column, starts: Rows) -> Column:
    """[len(starts)] of each group of rows the last value that is given."""
    rows = np.where(column.given, np.arange(len(column.given)), -1)
    last = np.maximum.reduceat(rows, starts)
    return replace(column, values=column.values[last], given=last >= 0)


def _filled(table: Table, notes: list[str]) -> Table:
    """Every empty cell with the value before it: a trainer that logs one network more rarely leaves some empty."""
    columns: dict[str, Column] = {}
    left_out = list(table.left_out)
    for signal, column in table.columns.items():
        if column.given.all():
            columns[signal] = column
        elif column.given.any():
            columns[signal] = _fill(table, column, notes)
        else:
            left_out.append(column.name)
            notes.append(f"'{column.name}' is empty")
    return replace(table, columns=columns, left_out=tuple(left_out))


def _fill(table: Table, column: Column, notes: list[str]) -> Column:
    given = np.flatnonzero(column.given)
    longest = int(np.diff(given, prepend=-1).max())
    if len(table) - given[-1] > longest:
        raise InvalidHistory(
            f"{table.at(int(given[-1]) + 1, column)}: empty from here to the end. Write nan where the number was none "
            "(pandas: to_csv(…, na_rep='nan')), or end the file before it"
        )
    rows = np.maximum.accumulate(np.where(column.given, np.arange(len(table)), given[0]))
    first = int(np.argmin(column.given))
    notes.append(
        f"'{column.name}' has {np.sum(~column.given)} empty cells, the first in {table.place} {table.lines[first]}; "
        "each was given the value before it"
    )
    return replace(column, values=column.values[rows], given=np.ones_like(column.given))


def stride(table: Table) -> int:
    """Steps from one row to the next, the most usual number; 1 where steps are not numbered."""
    if STEP not in table.columns or len(table) < 2:
        return 1
    return max(1, int(np.median(_advances(table))))


def steps_of(table: Table) -> int:
    """Steps from the first row to the end of the last one's, those without a row included."""
    if STEP not in table.columns or len(table) < 2:
        return len(table)
    advances, usual = np.diff(table.columns[STEP].values), stride(table)
    return int(np.where(advances > 0, advances, usual).sum()) + usual


def _advances(table: Table) -> Floats:
    """[n - 1] steps from each row to the next; not-a-number, and left out, where they are counted anew."""
    advances = np.diff(table.columns[STEP].values)
    return advances[advances > 0] if (advances > 0).any() else np.ones(1)


def _say_gaps(table: Table, notes: list[str]) -> None:
    if STEP not in table.columns or len(table) < 2:
        return
    steps, usual = table.columns[STEP].values, stride(table)
    gaps = np.flatnonzero(np.diff(steps) > 1.5 * usual)
    if len(gaps):
        first = int(gaps[0])
        notes.append(
            f"steps are missing in {len(gaps)} places, the first between {steps[first]:.0f} and {steps[first + 1]:.0f} "
            f"({table.place} {table.lines[first + 1]}); windows reach across"
        )
