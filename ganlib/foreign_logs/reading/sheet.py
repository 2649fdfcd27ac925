"""What a file holds before its names are understood: columns of numbers under the names that the trainer wrote."""

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ganlib.foreign_logs.column_names import InvalidHistory
from ganlib.foreign_logs.reading.numbers import Digits, Parsed, parse_cells
from ganlib.foreign_logs.table import MAX_ROWS, Flags, Floats, Rows

BLOCK_ROWS = 20_000
"""Rows that are kept as text before they become numbers."""
MAX_NAMES = 100_000
"""Of all kinds of rows together."""
Cell = str | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawColumn:
    """Numbers under one name of the trainer's."""

    numbers: Floats
    """[n]"""
    given: Flags
    """[n] whether a number was there."""
    digits: Digits | None
    """How they were printed; None of those that never were text."""
    percent: bool = False
    """Whether a percent sign follows them."""
    bad: tuple[int, str] | None = None
    """Line and text of the first cell that is no number; it counts as not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One file's columns of equal length."""

    source: str
    columns: dict[str, RawColumn]
    lines: Rows
    """[n] where each row lies, from 1."""
    place: str = "line"
    form: str = "a table"
    """What the file looked like, for messages."""
    labels: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """[n] texts, of columns that name runs, tags or keys."""
    notes: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    """What lines looked like, where no names were found."""
    printed: bool = False
    """Whether rows were found among other lines: one without a signal is noise, and a cell that is no number, too."""
    merged: bool = False
    """Whether each value has a row of its own: those of one step belong together, whatever their order."""
    run: str = ""
    """Which of several runs its files are of."""
    files: tuple[str, ...] = ()
    """Of several files that make it; empty where `source` is the one file or folder."""
    totals: Mapping[str, int] = field(default_factory=dict[str, int])
    """What counts count to, by the names of their columns."""
    batch_size: int | None = None
    """What `training_options.json` beside it says."""
    unread: tuple[str, ...] = ()
    """Names of what is no column of numbers of this length."""

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, chosen: Rows | Flags) -> "Sheet":
        """The chosen rows."""
        columns = {
            name: replace(column, numbers=column.numbers[chosen], given=column.given[chosen])
            for name, column in self.columns.items()
        }
        rows: list[int] = np.arange(len(self))[chosen].tolist()
        labels: dict[str, list[str]] = {name: [held[row] for row in rows] for name, held in self.labels.items()}
        return replace(self, columns=columns, lines=self.lines[chosen], labels=labels)


class SheetPart:
    """Rows that have the same names."""

    def __init__(self, names: Sequence[str], decimal_comma: bool) -> None:
        self.names = tuple(names)
        self.decimal_comma = decimal_comma
        self.lines = array("q")
        self.parsed: list[list[Parsed]] = [[] for _ in names]
        self._rows: list[Sequence[Cell]] = []
        self._new_lines: list[int] = []

    def add(self, line: int, cells: Sequence[Cell]) -> None:
        """One more row, a cell for each name; None or empty text where there is nothing."""
        self._rows.append(cells)
        self._new_lines.append(line)
        if len(self._rows) >= BLOCK_ROWS:
            self.flush()

    def add_block(self, lines: Sequence[int], rows: Sequence[Sequence[Cell]]) -> None:
        """Many rows at once."""
        self.flush()
        self._rows, self._new_lines = list(rows), list(lines)
        self.flush()

    def flush(self) -> None:
        """Makes numbers of what is kept as text."""
        if not self._rows:
            return
        for parsed, cells in zip(self.parsed, zip(*self._rows, strict=True), strict=True):
            parsed.append(parse_cells(cells, self._new_lines, decimal_comma=self.decimal_comma))
        self.lines.extend(self._new_lines)
        self._rows, self._new_lines = [], []


class SheetBuilder:
    """Takes rows as they come, and puts them together in the order of their lines."""

    def __init__(self, source: str, *, decimal_comma: bool = False) -> None:
        self.source = source
        self.decimal_comma = decimal_comma
        self._parts: dict[tuple[str, ...], SheetPart] = {}
        self.percent: set[str] = set()

    def part(self, names: Sequence[str]) -> SheetPart:
        """Where rows of these names go."""
        key = tuple(names)
        found = self._parts.get(key)
        if found is None:
            found = self._parts[key] = SheetPart(key, self.decimal_comma)
            if sum(len(part.names) for part in self._parts.values()) > MAX_NAMES:
                raise InvalidHistory(f"{self.source} has too many names of columns; write the same ones in every row")
        return found

    def columns(self) -> tuple[dict[str, RawColumn], Rows]:
        """Every column that was seen, and the lines of the rows."""
        parts = list(self._parts.values())
        for part in parts:
            part.flush()
        if sum(len(part.lines) for part in parts) > MAX_ROWS:
            raise InvalidHistory(f"{self.source} has more than {MAX_ROWS:,} rows; keep every tenth step, say")
        lines = np.concatenate([np.array(part.lines, dtype=np.int64) for part in parts] or [np.zeros(0, np.int64)])
        order = np.argsort(lines, kind="stable")
        columns: dict[str, RawColumn] = {}
        for name in dict.fromkeys(name for part in parts for name in part.names):
            columns[name] = self._column(name, parts, len(lines), order)
        return columns, lines[order]

    def _column(self, name: str, parts: Iterable[SheetPart], length: int, order: Rows) -> RawColumn:
        numbers, given = np.full(length, np.nan), np.zeros(length, dtype=np.bool_)
        digits: Digits | None = None
        bad: tuple[int, str] | None = None
        at = 0
        for part in parts:
            if name in part.names:
                start = at
                for block in part.parsed[part.names.index(name)]:
                    numbers[start : start + len(block.numbers)] = block.numbers
                    given[start : start + len(block.numbers)] = block.given
                    start += len(block.numbers)
                    digits = block.digits if digits is None else digits.widest(block.digits)
                    bad = min((b for b in (bad, block.bad) if b is not None), default=None)
            at += len(part.lines)
        return RawColumn(
            numbers=numbers[order], given=given[order], digits=digits, percent=name in self.percent, bad=bad
        )


def joined_words(text: str) -> str:
    """The text on one line, each run of white space as a space."""
    return re.sub(r"\s+", " ", text).strip()
