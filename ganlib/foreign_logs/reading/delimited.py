"""Tables in text: a line with names of columns, and a row a line, with any delimiter."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

from ganlib.foreign_logs.column_names import InvalidHistory, signal_of
from ganlib.foreign_logs.reading.sheet import BLOCK_ROWS, Sheet, SheetBuilder

DELIMITERS = (",", ";", "\t", "|")
WHITE_SPACE = " "
EXAMPLE = "step,d_loss_real,d_loss_fake,g_loss"
RUN_LABELS = ("run", "run_id", "run_name", "run_uuid", "experiment", "name")
"""Columns of texts that part a table into runs."""
TAG_LABELS = ("tag", "key", "metric", "metric_name")
"""Columns of texts that part a column of values into signals."""
LABELS = frozenset((*RUN_LABELS, *TAG_LABELS))
MAX_LABELS = 200
COMMENT = re.compile(r"#|//|%")

Line = tuple[int, list[str]]
"""Its number, from 1, and its cells."""


def looks_delimited(lines: Sequence[str]) -> bool:
    """Whether the first lines are names and, as many, cells that are mostly numbers."""
    if len(lines) < 2:
        return len(lines) == 1 and ("," in lines[0] or "\t" in lines[0]) and ":" not in lines[0]
    header, row = _header(lines[0]), lines[1]
    if not re.search(r"\d", header) and any(signal_of(name) for name in re.split(r"[,;\t|]", header)[1:]):
        return True
    delimiter = sniffed(header, row)
    try:
        names, cells = cells_of(header, delimiter), cells_of(row, delimiter)
    except csv.Error:  # as of a cell that is too long
        return False
    if len(names) < 2 and delimiter != WHITE_SPACE:
        return len(lines[0].split()) == 1 and all(_is_number(line) for line in lines[1:3])
    numbers = sum(_is_number(cell) or not cell for cell in cells)
    if any(_is_number(name) for name in names if name):
        return all(_is_number(name) for name in names) and numbers == len(cells)
    return abs(len(names) - len(cells)) <= 1 and (2 * numbers >= len(cells) or numbers >= 2)


def read_delimited(source: str, text: str) -> Sheet:
    """The table of a file whose first line names its columns.

    Raises:
        InvalidHistory: it says which line is wrong, and the fix.
    """
    lines = text.rstrip("\n ").split("\n")
    filled = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(filled, None)
    if first is None:
        raise InvalidHistory(f"{source} is empty; its first line has to name columns, as in {EXAMPLE}")
    header = _header(first[1])
    second = next(filled, None)
    delimiter = sniffed(header, header if second is None else second[1])
    names = _names(source, first[0], _parsed(source, first[0], header, delimiter))
    builder = SheetBuilder(source, decimal_comma=delimiter not in (",", WHITE_SPACE))
    part = builder.part(names)
    labels = {at: list[str]() for at, name in enumerate(names) if name.strip().lower() in LABELS}
    repeated = _parsed(source, first[0], first[1], delimiter)
    at = first[0]
    while (block := _even_block(lines[at : at + BLOCK_ROWS], delimiter, len(names), repeated)) is not None:
        part.add_block(range(at + 1, at + 1 + len(block)), block)
        for column, texts in labels.items():
            texts.extend(cells[column].strip() for cells in block)
        at += len(block)
    rest = ((number, line) for number, line in enumerate(lines[at:], at + 1) if line.strip())
    others = (row for row in _rows(source, rest, delimiter) if row[1] != repeated)
    for number, cells in _even_lines(source, others, names):
        part.add(number, cells)
        for column, texts in labels.items():
            texts.append(cells[column].strip())
    columns, places = builder.columns()
    kept = {names[at]: texts for at, texts in labels.items() if len(set(texts)) <= MAX_LABELS}
    return Sheet(source=source, columns=columns, lines=places, labels=kept)


def _even_block(lines: list[str], delimiter: str, width: int, repeated: list[str]) -> list[list[str]] | None:
    """The cells of lines that have as many each; None where a line is another, or there is none."""
    if delimiter == WHITE_SPACE:
        rows = [line.split() for line in lines]
    else:
        try:
            rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        except csv.Error:
            return None
    even = len(rows) == len(lines) and all(len(cells) == width for cells in rows)
    return rows if rows and even and repeated not in rows else None


def _rows(source: str, lines: Iterable[tuple[int, str]], delimiter: str) -> Iterator[Line]:
    """Cells of each line; of many lines at once, as that is faster."""
    if delimiter == WHITE_SPACE:
        yield from ((number, line.split()) for number, line in lines)
        return
    numbers: list[int] = []

    def noted() -> Iterator[str]:
        for number, line in lines:
            if line.startswith(" ") or line.endswith((" ", "\r")):
                line = line.strip(" \r")
            numbers.append(number)
            yield line if '"' not in line or line.count('"') % 2 == 0 else line.replace('"', "")

    reader = csv.reader(noted(), delimiter=delimiter, skipinitialspace=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InvalidHistory(
                f"{source}, line {numbers[-1]} is no CSV: {error}; look for a quote without its end"
            ) from None
        if cells is None:
            return
        yield numbers[-1], cells


def _header(line: str) -> str:
    """The line with the names, without what marks it as a comment."""
    line = line.rstrip().lstrip(" ")  # a tab before it parts off an index without a name
    mark = COMMENT.match(line)
    return line[mark.end() :].lstrip() if mark else line


def _parsed(source: str, number: int, line: str, delimiter: str) -> list[str]:
    try:
        return cells_of(line, delimiter)
    except csv.Error as error:
        raise InvalidHistory(f"{source}, line {number} is no CSV: {error}; look for a quote without its end") from None


def cells_of(line: str, delimiter: str) -> list[str]:
    """The cells of one line."""
    if delimiter == WHITE_SPACE:
        return line.split()
    [cells] = csv.reader([line.rstrip("\r\n")], delimiter=delimiter, skipinitialspace=True)
    return [cell.strip() for cell in cells]


def sniffed(header: str, line: str) -> str:
    """What parts the cells of both lines, into as many."""
    counts = {mark: (_count(header, mark), _count(line, mark)) for mark in (*DELIMITERS, WHITE_SPACE)}
    even = {mark: one for mark, (one, other) in counts.items() if one == other}
    fits = [mark for mark in DELIMITERS if even.get(mark, 1) > 1]
    if fits:
        return max(fits, key=even.__getitem__)
    if even.get(WHITE_SPACE, 1) > 1:
        return WHITE_SPACE
    return max(DELIMITERS, key=lambda mark: counts[mark][0])  # a wrong line is named later


def _count(line: str, delimiter: str) -> int:
    """Cells of a line; 1 where it would not do as CSV."""
    try:
        return len(cells_of(line, delimiter))
    except csv.Error:  # as of a cell that is too long
        return 1


def _names(source: str, line: int, cells: Sequence[str]) -> list[str]:
    """Names of columns, one that has none named by its place."""
    if all(_is_number(cell) for cell in cells if cell):
        raise InvalidHistory(
            f"{source}, line {line}: there are numbers where names of columns are needed; put a line with names before "
            f"it, as in {EXAMPLE}"
        )
    names = [cell or f"column {i}" for i, cell in enumerate(cells, 1)]
    double = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if double is not None:
        raise InvalidHistory(f"{source}, line {line}: two columns are called '{double}'; give each a name of its own")
    return names


def _even_lines(source: str, lines: Iterable[Line], names: Sequence[str]) -> Iterator[Line]:
    """The lines that have a cell for each name.

    The last line may be cut off: its training was, too.
    """
    uneven: Line | None = None
    width = len(names)
    for number, cells in lines:
        if uneven is not None:
            _refuse_uneven(source, uneven, names)
        if len(cells) == width + 1 and not cells[-1].strip():
            cells.pop()
        if len(cells) != width:
            uneven = number, cells
        else:
            yield number, cells
    if uneven is not None and len(uneven[1]) > width:
        _refuse_uneven(source, uneven, names)


def _refuse_uneven(source: str, line: Line, names: Sequence[str]) -> NoReturn:
    raise InvalidHistory(
        f"{source}, line {line[0]} has {len(line[1])} cells, the header has {len(names)}; "
        "correct the line, or use one delimiter throughout"
    )


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
