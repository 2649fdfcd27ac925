"""JSON: a line an object, one array of objects, or one object with lists."""

import json
from dataclasses import replace
from typing import Any, cast

from ganlib.foreign_logs.column_names import InvalidHistory, signal_of
from ganlib.foreign_logs.reading.arrays import sheet_of_arrays
from ganlib.foreign_logs.reading.sheet import Cell, Sheet, SheetBuilder

STATISTICS = frozenset({"num", "mean", "std"})
"""What NVIDIA's training_stats writes of each signal; the mean is its value."""
TOO_DEEP = "has JSON within JSON, too deep to read; write one flat object a line"
BLOCK_LINES = 4096
LISTS_OF_ROWS = ("log_history", "history", "rows", "data", "logs", "metrics")
"""Keys under which documents keep their rows, a list of objects."""


def read_json(source: str, text: str) -> Sheet:
    """The rows of JSON of any of the three forms.

    Raises:
        InvalidHistory: it says which line is wrong, and the fix.
    """
    try:
        return _read(source, text)
    except RecursionError:
        raise InvalidHistory(f"{source} {TOO_DEEP}") from None


def _read(source: str, text: str) -> Sheet:
    first, _, rest = text.lstrip().partition("\n")
    try:
        document = json.loads(first)
    except ValueError:
        return _read_document(source, text)
    is_line = isinstance(document, dict) and (rest.strip() or not _has_columns(cast("dict[str, Any]", document)))
    return _read_lines(source, text) if is_line else _read_document(source, text)


def _has_columns(document: dict[str, Any]) -> bool:
    """Whether it holds lists of all values."""
    flat = flat_names(document)
    if any(isinstance(value, list) for name, value in flat.items() if signal_of(name) is not None):
        return True
    if any(name in LISTS_OF_ROWS and _is_rows(value) for name, value in document.items()):
        return True
    return len(flat) > 1 and all(isinstance(value, list) for value in flat.values())


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and isinstance(next(iter(cast("list[object]", value)), None), dict)


def _read_lines(source: str, text: str) -> Sheet:
    rows = _Objects(source)
    lines = text.split("\n")
    last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=0)
    for start in range(0, len(lines), BLOCK_LINES):
        block = lines[start : start + BLOCK_LINES]
        try:  # all at once, which is faster
            documents: list[Any] = json.loads(f"[{','.join(block)}]")
        except ValueError:
            documents = []
        if len(documents) == len(block):
            for number, document in enumerate(documents, start + 1):
                rows.add(number, document)
        else:
            _read_each(source, rows, block, start, last)
    return rows.sheet("lines of JSON")


def _read_each(source: str, rows: "_Objects", block: list[str], start: int, last: int) -> None:
    """Lines of JSON, some of them empty or wrong."""
    for number, line in enumerate(block, start + 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except ValueError:
            if number == last:  # cut off, as its training was
                return
            raise InvalidHistory(f"{source}, line {number} is no JSON; write one object a line") from None
        rows.add(number, document)


def _read_document(source: str, text: str) -> Sheet:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InvalidHistory(f"{source} is no JSON ({str(error)[:100]}); write one object a line, or CSV") from None
    if isinstance(document, dict):
        held = cast("dict[str, Any]", document)
        rows = next((held[key] for key in LISTS_OF_ROWS if _is_rows(held.get(key))), None)
        if rows is None:
            return replace(sheet_of_arrays(source, flat_names(held)), form="lists")
        document = rows
    objects = _Objects(source)
    for number, item in enumerate(cast("list[Any]", document), 1):
        objects.add(number, item)
    return objects.sheet("a JSON array")


class _Objects:
    """Objects as rows."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.builder = SheetBuilder(source)

    def add(self, line: int, document: Any) -> None:
        if not isinstance(document, dict):
            raise InvalidHistory(f'{self.source}, line {line} is no object; write one as {{"step": 1, "g_loss": 0.9}}')
        held = cast("dict[str, Any]", document)
        flat = flat_names(held) if any(map(_is_nested, held.values())) else held
        self.builder.part(tuple(flat)).add(line, cast("list[Cell]", list(flat.values())))

    def sheet(self, form: str) -> Sheet:
        columns, lines = self.builder.columns()
        return Sheet(source=self.source, columns=columns, lines=lines, form=form)


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict)


def flat_names(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"loss": {"d": 1}} as {"loss/d": 1}; of statistics the mean."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            held = cast("dict[str, Any]", value)
            if held.keys() >= STATISTICS:
                found[f"{prefix}{name}"] = held["mean"]
            else:
                found |= flat_names(held, f"{prefix}{name}/")
        else:
            found[f"{prefix}{name}"] = value
    return found
