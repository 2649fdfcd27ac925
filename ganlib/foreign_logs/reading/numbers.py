"""Numbers as logs print them: thousands separators, decimal commas, percents, and how many digits there are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganlib.foreign_logs.table import Flags, Floats

NUMBER = r"[-+]?(?:(?:\d+(?:,\d+)*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|(?i:nan|inf(?:inity)?)(?![A-Za-z_]))"
"""A number within a line. A comma between digits may part thousands or be the decimal mark."""
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?(?:[eE][-+]?\d+)?")
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
PARTS = re.compile(r"[-+]?(\d*)\.?(\d*)(?:[eE]([-+]?\d+))?")
SAMPLED = 64
"""Cells of a block whose digits are counted: a trainer prints all of a column alike, and a last digit that is dropped
where it is 0 is there in nine of ten."""


@dataclass(frozen=True, slots=True)
class Digits:
    """The most digits that a column prints."""

    decimals: int
    """Behind the point; of 7.2e-02 there are 3."""
    significant: int
    """From the first that is not 0 on."""

    def widest(self, other: "Digits | None") -> "Digits":
        """The most of both."""
        if other is None:
            return self
        return Digits(max(self.decimals, other.decimals), max(self.significant, other.significant))


@dataclass(frozen=True, slots=True)
class Parsed:
    """Cells as numbers."""

    numbers: Floats
    given: Flags
    digits: Digits | None
    bad: tuple[int, str] | None
    """Line and text of the first that is no number."""


def parse_cells(cells: Sequence[str | float | None], lines: Sequence[int], *, decimal_comma: bool = False) -> Parsed:
    """Numbers of cells, each from the line of the same place; empty ones and None are not given."""
    digits = digits_of(cells, decimal_comma=decimal_comma)
    if cells and not isinstance(cells[0], str) and any(cell is True or cell is False for cell in cells):
        return _parse_each(cells, lines, digits, decimal_comma)
    try:  # all are plain numbers
        numbers = np.fromiter(map(float, cells), np.float64, len(cells))  # pyright: ignore[reportArgumentType]
        return Parsed(numbers, np.ones(len(cells), dtype=np.bool_), digits, None)
    except (TypeError, ValueError, OverflowError):
        return _parse_each(cells, lines, digits, decimal_comma)


def _parse_each(
    cells: Sequence[str | float | None], lines: Sequence[int], digits: Digits | None, decimal_comma: bool
) -> Parsed:
    numbers, given = np.full(len(cells), np.nan), np.zeros(len(cells), dtype=np.bool_)
    bad: tuple[int, str] | None = None
    comma = decimal_comma or _has_decimal_comma(cells)
    for i, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            continue
        try:
            numbers[i] = to_float(cell, decimal_comma=comma)
            given[i] = True
        except (TypeError, ValueError):
            bad = bad or (lines[i], str(cell))
    return Parsed(numbers, given, digits, bad)


def to_float(cell: object, *, decimal_comma: bool = False) -> float:
    """The number of a cell.

    Raises:
        ValueError, TypeError: it is none.
    """
    if isinstance(cell, str):
        text = cell.strip().removesuffix("%")
        if "," in text:
            text = _without_comma(text, decimal_comma)
        return float(text)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise TypeError
    try:
        return float(cell)
    except OverflowError:
        return float("inf") if cell > 0 else float("-inf")


def _without_comma(text: str, decimal_comma: bool) -> str:
    if decimal_comma and DECIMAL_COMMA.fullmatch(text):
        return text.replace(",", ".")
    return text.replace(",", "") if THOUSANDS.fullmatch(text) else text.replace(",", ".")


def _has_decimal_comma(cells: Sequence[object]) -> bool:
    """Whether a cell has a comma that cannot part thousands."""
    return any(
        isinstance(cell, str) and "," in cell and DECIMAL_COMMA.fullmatch(cell) and not THOUSANDS.fullmatch(cell)
        for cell in cells
    )


def digits_of(cells: Sequence[object], *, decimal_comma: bool = False) -> Digits | None:
    """The most digits of some of the cells; of numbers that were read from JSON those that they were written with."""
    decimals = significant = -1
    for cell in cells[:: max(1, len(cells) // SAMPLED)]:
        if isinstance(cell, bool) or not isinstance(cell, str | float | int):
            continue
        text = cell.strip().removesuffix("%") if isinstance(cell, str) else repr(cell)
        if "," in text:
            text = _without_comma(text, decimal_comma)
        parts = PARTS.fullmatch(text)
        if parts is None:
            continue
        whole, fraction, exponent = parts.groups()
        decimals = max(decimals, len(fraction) - int(exponent or 0), 0)
        significant = max(significant, len((whole + fraction).lstrip("0")), 1)
    return None if decimals < 0 else Digits(decimals, significant)
