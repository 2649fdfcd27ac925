"""Files of one metric each, whose name is the file's: TensorBoard's CSV, MLflow's metrics, BigGAN's logs.

Several of them make one history.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

import numpy as np

from ganlib.foreign_logs.column_names import InvalidHistory, signal_of
from ganlib.foreign_logs.reading.numbers import NUMBER, parse_cells
from ganlib.foreign_logs.reading.rows import kept_of_starts
from ganlib.foreign_logs.reading.sheet import RawColumn, Sheet

FORM = "a metric a file"
TENSORBOARD_HEADER = ["wall time", "step", "value"]
SHAPES = (
    re.compile(rf"\s*(?P<step>\d+)\s*[:,]\s*(?P<value>{NUMBER})\s*,?\s*"),  # BigGAN, FID scores
    re.compile(rf"\s*\d{{9,}}(?:\.\d+)?[\s,](?P<value>{NUMBER})[\s,](?P<step>\d+)\s*"),  # MLflow
    re.compile(rf"\s*\"?[\d.e+]+\"?,\"?(?P<step>\d+)\"?,\"?(?P<value>{NUMBER})\"?\s*"),  # TensorBoard
)
TAG = re.compile(r"^(?:(?:run[-_])?(?P<run>.*?)[-_])?tag[-_](?P<tag>.+)$")
"""Of `run-a-tag-Loss_D`, as TensorBoard calls the file of one tag of the run `a`."""


def read_series(source: str, text: str, start: Sequence[str]) -> Sheet | None:
    """The metric of a file; None where the first lines are no steps and values."""
    header = [cell.strip(' "\r').lower() for cell in start[0].split(",")] == TENSORBOARD_HEADER
    first = start[1:] if header else start
    shapes = SHAPES[2:] if header else SHAPES[:2]
    shape = next((shape for shape in shapes if first and all(shape.fullmatch(line) for line in first)), None)
    if shape is None:
        return None
    whole = text.split("\n")
    found = [(number, shape.fullmatch(line)) for number, line in enumerate(whole, 1)]
    rows = [(number, match["step"], match["value"]) for number, match in found if match is not None]
    lines, steps, values = zip(*rows, strict=True)
    parsed = parse_cells(values, lines)
    counts = parse_cells(steps, lines)
    keep = kept_of_starts(counts.numbers)
    sheet = Sheet(
        source=source,
        columns={
            "step": RawColumn(numbers=counts.numbers, given=counts.given, digits=counts.digits),
            tag_of(source): RawColumn(numbers=parsed.numbers, given=parsed.given, digits=parsed.digits),
        },
        lines=np.array(lines, dtype=np.int64),
        form=FORM,
        merged=True,
        notes=tuple(_left_out(sum(map(bool, map(str.strip, whole))) - header - len(rows), int(np.sum(~keep)))),
    )
    return sheet.take(keep)


def _left_out(others: int, again: int) -> Iterator[str]:
    """What was not read of a file, a sentence each."""
    if others:
        yield f"{others:,} lines are no step and value and were left out"
    if again:
        yield f"the count goes back: {again:,} rows of earlier starts, of steps that come again, were left out"


def is_single(sheet: Sheet) -> bool:
    """Whether it is one file's metric."""
    return sheet.form == FORM and len(sheet.columns) == 2


def tag_of(source: str) -> str:
    """The metric that a file's name says: of `run-a-tag-Loss_D.csv` it is `Loss_D`."""
    stem = _stem(source)
    found = TAG.search(stem)
    return _known_end(found["tag"] if found else stem)


def _stem(source: str) -> str:
    stem = PurePath(source).name
    while PurePath(stem).suffix.lower() in (".csv", ".log", ".txt", ".gz"):
        stem = PurePath(stem).stem
    return stem


def _known_end(name: str) -> str:
    """The name, or the longest end of it that is a signal's."""
    if signal_of(name) is not None:
        return name
    parts = re.split(r"[-_ ./]", name)
    ends = ("_".join(parts[at:]) for at in range(1, len(parts)))
    return next((end for end in ends if signal_of(end) is not None), name)


# --- several metrics --------------------------------------------------------------------------------------------


def histories_of(sheets: Sequence[Sheet], source: str) -> list[Sheet]:
    """Single metrics as one sheet for each run that they are of.

    Where names come again, files of one run are those with one prefix before `-tag-`, or of one folder; and where each
    of those has one metric only, as `add_scalars` leaves them, the prefix or the folder is part of the metric's name.

    Raises:
        InvalidHistory: two files hold the same metric of the same run.
    """
    if _are_distinct(_tags(sheets)):
        return [stacked(sheets, source)]
    runs: dict[tuple[str, str], list[Sheet]] = {}
    for sheet in sheets:
        runs.setdefault((str(PurePath(sheet.source).parent), _run_of(sheet.source)), []).append(sheet)
    if all(len(of_run) == 1 for of_run in runs.values()):
        named = [_renamed(sheet, f"{run or PurePath(folder).name}/") for (folder, run), [sheet] in runs.items()]
        _check_distinct(named)
        return [stacked(named, source)]
    labels = [run or PurePath(folder).name for folder, run in runs]
    if not _are_distinct(labels):
        labels = [f"{folder}/{run}".rstrip("/") for folder, run in runs]
    for of_run in runs.values():
        _check_distinct(of_run)
    return [replace(stacked(part, source), run=label) for part, label in zip(runs.values(), labels, strict=True)]


def _run_of(source: str) -> str:
    found = TAG.search(_stem(source))
    return (found["run"] or "") if found else ""


def _tags(sheets: Sequence[Sheet]) -> list[str]:
    return [next(name for name in sheet.columns if name != "step") for sheet in sheets]


def _are_distinct(names: Sequence[str]) -> bool:
    return len(names) == len(set(names))


def _renamed(sheet: Sheet, prefix: str) -> Sheet:
    [tag] = _tags([sheet])
    return replace(sheet, columns={"step": sheet.columns["step"], _known_end(f"{prefix}{tag}"): sheet.columns[tag]})


def _check_distinct(sheets: Sequence[Sheet]) -> None:
    seen: dict[str, str] = {}
    for tag, sheet in zip(_tags(sheets), sheets, strict=True):
        if tag in seen:
            raise InvalidHistory(
                f"{seen[tag]} and {sheet.source} both hold '{tag}' of one run; leave one of them out, or give each run "
                "a folder of its own"
            )
        seen[tag] = sheet.source


def stacked(sheets: Sequence[Sheet], source: str) -> Sheet:
    """Rows of several sheets below each other: those of one step become one row later."""
    if len(sheets) == 1:
        return replace(sheets[0], source=source)
    total = sum(map(len, sheets))
    columns: dict[str, RawColumn] = {}
    at = 0
    for sheet in sheets:
        rows = slice(at, at + len(sheet))
        for name, column in sheet.columns.items():
            before = columns.get(name)
            if before is None:
                before = RawColumn(numbers=np.full(total, np.nan), given=np.zeros(total, np.bool_), digits=None)
            before.numbers[rows], before.given[rows] = column.numbers, column.given
            digits = column.digits if before.digits is None else before.digits.widest(column.digits)
            columns[name] = replace(before, digits=digits, percent=column.percent, bad=before.bad or column.bad)
        at = rows.stop
    return replace(
        sheets[0],
        source=source,
        columns=columns,
        lines=np.concatenate([sheet.lines for sheet in sheets]),
        labels={},
        notes=tuple(dict.fromkeys(note for sheet in sheets for note in sheet.notes)),
        unread=tuple(dict.fromkeys(name for sheet in sheets for name in sheet.unread)),
        batch_size=next((sheet.batch_size for sheet in sheets if sheet.batch_size), None),
    )
