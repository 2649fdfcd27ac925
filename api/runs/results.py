"""What came of several runs, as an answer or as a table."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from ganlib.wire.results import ResultRow
from store.runs.results import RunResult

BEFORE_FIGURES = ("verdict", "severity", "first_epoch_seen", "epochs_done", "seconds", "evaluated_epoch")


def result_row(found: RunResult) -> ResultRow:
    """What came of a run."""
    run, figures = found.run, found.figures
    return ResultRow(
        run_id=run.id,
        name=run.name,
        status=run.status,
        spec=found.spec,
        verdict=run.verdict,  # pyright: ignore[reportArgumentType]  checked when it is read
        severity=run.severity,  # pyright: ignore[reportArgumentType]
        first_epoch_seen=run.first_epoch_seen,
        epochs_done=run.epochs_done,
        seconds=round(found.seconds, 3),
        evaluated_epoch=None if figures is None else figures.epoch,
        values={} if figures is None else figures.values,
        nulls={} if figures is None else figures.nulls,
    )


def sorted_rows(rows: Iterable[ResultRow], sort: str) -> list[ResultRow]:
    """By a figure or a number of the row, rising, or with a `-` before its name falling; those without it last."""
    name, is_falling = sort.removeprefix("-"), sort.startswith("-")

    def key(row: ResultRow) -> tuple[bool, float]:
        value = row.values.get(name, getattr(row, name, None) if name in BEFORE_FIGURES else None)
        if not isinstance(value, int | float):
            return True, 0.0
        return False, -value if is_falling else value

    return sorted(rows, key=key)


def as_csv(varied: Sequence[str], figures: Sequence[str], rows: Iterable[ResultRow]) -> str:
    """A line for each run. What is null is empty; lists and parts are JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    nulls = [f"{name}_null" for name in figures]
    writer.writerow(["run_id", "name", "status", *varied, *BEFORE_FIGURES, *figures, *nulls])
    for row in rows:
        of_figures = [row.values.get(name) for name in figures] + [row.nulls.get(name) for name in figures]
        cells = [row.run_id, row.name, row.status, *(row.spec.get(path) for path in varied)]
        writer.writerow([_cell(value) for value in (*cells, *(getattr(row, n) for n in BEFORE_FIGURES), *of_figures)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"  # a spreadsheet would take a name that somebody gave for a formula
    return value
