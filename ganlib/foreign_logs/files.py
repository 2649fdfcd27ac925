"""Files of per-step losses, as trainers write them: CSV of any delimiter, JSON lines, JSON and .npz.

A file is taken for what it begins with, whatever its name. Only columns that hold a known signal are kept.
"""

import csv
import json
import lzma
import struct
import tokenize
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import numpy as np

from ganlib.foreign_logs.column_names import InvalidHistory, assign, signal_of
from ganlib.foreign_logs.table import MAX_ROWS, Column, Table, table_of

MAX_BYTES = 200 * 1024**2
DELIMITERS = (",", ";", "\t", "|")
WHITE_SPACE = " "
EXAMPLE = "step,d_loss_real,d_loss_fake,g_loss"
BROKEN = (
    ValueError,
    MemoryError,
    EOFError,
    OverflowError,
    KeyError,
    NotImplementedError,  # this and the next are RuntimeErrors, which are taken for encryption where they stand alone
    RecursionError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What NumPy and the standard library raise where an .npz file is damaged."""

Line = tuple[int, list[str]]
"""Its number, from 1, and its cells."""


def read_table(path: Path) -> Table:
    """The columns of a file that hold a known signal.

    Raises:
        InvalidHistory: it cannot be read; the message names file, line and column where there are any, and the fix.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InvalidHistory(f"{path} has {size:,} bytes; allowed: {MAX_BYTES:,}. Keep every tenth step, say")
        with path.open("rb") as file:
            start = file.read(512)
        return _reader(start)(path)
    except FileNotFoundError:
        raise InvalidHistory(f"There is no file {path}") from None
    except OSError as error:
        raise InvalidHistory(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidHistory(
            f"{path} is no text in UTF-8; save it as CSV in UTF-8, as JSON lines, or as .npz"
        ) from None
    except RecursionError:
        raise InvalidHistory(f"{path} has JSON within JSON, too deep to read; write one flat object a line") from None


def _reader(start: bytes) -> Callable[[Path], Table]:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"PK\3\4"):
        return _read_npz
    return _read_any_json if text.startswith((b"{", b"[")) else _read_csv


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


class _Rows:
    """Rows as they come, of which only known columns are kept."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.names: dict[str, bool] = {}
        """All that were seen, and whether they are kept."""
        self.values: dict[str, array[float]] = {}
        self.given: dict[str, bytearray] = {}
        self.lines = array("q")

    def name(self, name: str) -> bool:
        """Takes note of a column; whether it is kept."""
        if name not in self.names:
            self.names[name] = signal_of(name) is not None
            if self.names[name]:
                self.values[name] = array("d", [np.nan]) * len(self.lines)
                self.given[name] = bytearray(len(self.lines))
        return self.names[name]

    def add(self, line: int, cells: Iterable[tuple[str, float | None]]) -> None:
        """One more row; None where a cell is empty."""
        if len(self.lines) >= MAX_ROWS:
            raise InvalidHistory(f"{self.source} has more than {MAX_ROWS:,} rows; keep every tenth step, say")
        self.lines.append(line)
        for name, value in cells:
            self.values[name].append(np.nan if value is None else value)
            self.given[name].append(value is not None)
        for name, values in self.values.items():
            if len(values) < len(self.lines):
                values.append(np.nan)
                self.given[name].append(False)

    def table(self) -> Table:
        """What was read."""
        chosen, left_out = assign(str(self.source), list(self.names))
        columns = {
            signal: Column(
                name=name,
                values=np.array(self.values[name], dtype=np.float64),
                given=np.frombuffer(self.given[name], dtype=np.bool_).copy(),
            )
            for signal, name in chosen.items()
        }
        lines = np.array(self.lines, dtype=np.int64)
        return Table(source=str(self.source), columns=columns, left_out=left_out, lines=lines)


def _bad_cell(rows: _Rows, line: int, name: str, text: object) -> NoReturn:
    raise InvalidHistory(
        f"{rows.source}, line {line}, column '{name}': {str(text)[:40]!r} is no number; "
        "write nan where the number was none, or leave the line out"
    )


# --- text in columns --------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> Table:
    rows = _Rows(path)
    with _open(path) as file:
        filled = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        first = next(filled, None)
        if first is None:
            raise InvalidHistory(f"{path} is empty; its first line has to name columns, as in {EXAMPLE}")
        header = first[1].rstrip().lstrip(" ")  # a tab before it parts off an index without a name
        header = header.removeprefix("#").lstrip() if header.startswith("#") else header
        second = next(filled, None)
        delimiter = _sniffed(header, header if second is None else second[1])
        rest = filled if second is None else chain([second], filled)
        names = _names(path, first[0], _parsed(path, first[0], header, delimiter))
        kept = [(i, name) for i, name in enumerate(names) if rows.name(name)]
        others = ((number, _parsed(path, number, line, delimiter)) for number, line in rest)
        repeated = _cells(first[1], delimiter)
        for number, cells in _even_lines(path, (other for other in others if other[1] != repeated), names):
            rows.add(number, [(name, _number(rows, number, name, cells[i], delimiter)) for i, name in kept])
    return rows.table()


def _parsed(path: Path, number: int, line: str, delimiter: str) -> list[str]:
    try:
        return _cells(line, delimiter)
    except csv.Error as error:
        raise InvalidHistory(f"{path}, line {number} is no CSV: {error}; look for a quote without its end") from None


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == WHITE_SPACE:
        return line.split()
    [cells] = csv.reader([line.rstrip("\r\n")], delimiter=delimiter, skipinitialspace=True)
    return [cell.strip() for cell in cells]


def _sniffed(header: str, line: str) -> str:
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
        return len(_cells(line, delimiter))
    except csv.Error:  # as of a cell that is too long
        return 1


def _names(path: Path, line: int, cells: Sequence[str]) -> list[str]:
    """Names of columns, one that has none named by its place."""
    if all(_is_number(cell) for cell in cells if cell):
        raise InvalidHistory(
            f"{path}, line {line}: there are numbers where names of columns are needed; put a line with names before "
            f"it, as in {EXAMPLE}"
        )
    names = [cell or f"column {i}" for i, cell in enumerate(cells, 1)]
    double = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if double is not None:
        raise InvalidHistory(f"{path}, line {line}: two columns are called '{double}'; give each a name of its own")
    return names


def _even_lines(path: Path, lines: Iterable[Line], names: Sequence[str]) -> Iterator[Line]:
    """The lines that have a cell for each name.

    The last line may be cut off: its training was, too.
    """
    uneven: Line | None = None
    for number, cells in lines:
        if uneven is not None:
            _refuse_uneven(path, uneven, names)
        if len(cells) == len(names) + 1 and not cells[-1]:
            cells.pop()
        if len(cells) != len(names):
            uneven = number, cells
        else:
            yield number, cells
    if uneven is not None and len(uneven[1]) > len(names):
        _refuse_uneven(path, uneven, names)


def _refuse_uneven(path: Path, line: Line, names: Sequence[str]) -> NoReturn:
    raise InvalidHistory(
        f"{path}, line {line[0]} has {len(line[1])} cells, the header has {len(names)}; "
        "correct the line, or use one delimiter throughout"
    )


def _number(rows: _Rows, line: int, name: str, text: str, delimiter: str = ",") -> float | None:
    if not text:
        return None
    try:
        return float(text if delimiter == "," else text.replace(",", "."))
    except ValueError:
        _bad_cell(rows, line, name, text)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


# --- JSON and arrays --------------------------------------------------------------------------------------------


def _read_any_json(path: Path) -> Table:
    with _open(path) as file:
        filled = (line for line in file if line.strip())
        first, second = next(filled, ""), next(filled, None)
    try:
        document = json.loads(first)
    except ValueError:
        return _read_json(path)
    is_line = isinstance(document, dict) and (second is not None or not _has_columns(cast("dict[str, Any]", document)))
    return _read_json_lines(path) if is_line else _read_json(path)


def _has_columns(document: dict[str, Any]) -> bool:
    """Whether it holds a list of all values of a signal."""
    return any(isinstance(value, list) for name, value in _flat(document).items() if signal_of(name) is not None)


def _read_json_lines(path: Path) -> Table:
    rows = _Rows(path)
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                document = json.loads(line)
            except ValueError:
                if next(file, None) is None:  # cut off, as its training was
                    break
                raise InvalidHistory(f"{path}, line {number} is no JSON; write one object a line") from None
            _add_object(rows, number, document)
    return rows.table()


def _read_json(path: Path) -> Table:
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise InvalidHistory(f"{path} is no JSON ({str(error)[:100]}); write one object a line, or CSV") from None
    if isinstance(document, dict):
        return table_of(_flat(cast("dict[str, Any]", document)), str(path))
    rows = _Rows(path)
    for number, item in enumerate(cast("list[Any]", document), 1):
        _add_object(rows, number, item)
    return rows.table()


def _add_object(rows: _Rows, line: int, document: Any) -> None:
    if not isinstance(document, dict):
        raise InvalidHistory(f'{rows.source}, line {line} is no object; write one as {{"step": 1, "g_loss": 0.9}}')
    flat = _flat(cast("dict[str, Any]", document))
    rows.add(line, [(name, _json_number(rows, line, name, value)) for name, value in flat.items() if rows.name(name)])


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"loss": {"d": 1}} as {"loss/d": 1}."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= _flat(cast("dict[str, Any]", value), f"{prefix}{name}/")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _json_number(rows: _Rows, line: int, name: str, value: Any) -> float | None:
    if isinstance(value, str):
        return _number(rows, line, name, value.strip())
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        _bad_cell(rows, line, name, value)
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _read_npz(path: Path) -> Table:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        arrays = _arrays(path) if size <= MAX_BYTES else {}
    except BROKEN as error:
        raise InvalidHistory(
            f"{path} holds no arrays that can be read ({str(error)[:100] or type(error).__name__}); "
            "save one number a step with numpy.savez, or write CSV"
        ) from None
    except RuntimeError:
        raise InvalidHistory(f"{path} is encrypted; pack it without a password") from None
    if size > MAX_BYTES:
        raise InvalidHistory(f"{path} unpacks to {size:,} bytes; allowed: {MAX_BYTES:,}. Keep every tenth step")
    return table_of(arrays, str(path))


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of an .npz file by their names; nothing of those that hold no signal."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] if signal_of(name) is not None else () for name in stored.files}
