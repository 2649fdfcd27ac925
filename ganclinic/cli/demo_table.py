"""The table that ends the demo."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ganclinic.cli.tables import fields
from ganclinic.cli.words import NONE, finding_words, ndb_words, remedy_words, status_text, verdict_text
from ganclinic.demo import DemoResult

HEADS = ("preset", "status", "verdict", "severity", "first epoch seen", "NDB/K (null)")
MILD = ("none", "mild")
GAP = 2
INDENT = 2


def demo_table(outcomes: Sequence[DemoResult], width: int, cwd: Path) -> RenderableType:
    """A row a run, and below it its evidence, remedy and files; in a narrow terminal the row becomes a list."""
    rows = [_cells(outcome) for outcome in outcomes]
    widths = [max(len(head), *(len(row[i]) for row in rows)) for i, head in enumerate(HEADS)]
    needed = sum(widths) + GAP * (len(widths) - 1)
    parts: list[RenderableType] = []
    if needed <= width:
        parts += [_line([Text(head, style="bold") for head in HEADS], widths), Text("─" * needed, style="dim")]
    for row, outcome in zip(rows, outcomes, strict=True):
        details = _details(outcome, cwd)
        if needed <= width:
            parts.append(_line(row, widths))
        else:
            parts.append(Text.assemble(row[0], style="bold"))
            details = [*zip(HEADS[1:], row[1:], strict=True), *details]
        parts.append(Padding(fields(details), (0, 0, 1, INDENT)))
    return Group(*parts)


def shown_path(path: Path, cwd: Path) -> str:
    """The path as the person would write it: relative where it is below the current directory."""
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def _cells(outcome: DemoResult) -> list[Text]:
    run = outcome.run
    is_healthy = run.severity in MILD  # what it has of findings is named below
    seen = str(run.first_epoch_seen) if run.first_epoch_seen is not None and not is_healthy else NONE
    return [
        Text(run.label),
        status_text(run),
        verdict_text(run.verdict),
        Text(NONE if is_healthy else run.severity or NONE),
        Text(seen),
        Text(ndb_words(outcome.evaluation)),
    ]


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Table:
    line = Table.grid(padding=(0, GAP, 0, 0))
    for width in widths:
        line.add_column(width=width, no_wrap=True)
    line.add_row(*cells)
    return line


def _details(outcome: DemoResult, cwd: Path) -> list[tuple[str, RenderableType]]:
    files = (("losses", outcome.loss_figure), ("samples", outcome.sample_grid))
    findings = outcome.diagnosis.findings if outcome.diagnosis is not None and outcome.run.severity in MILD else ()
    return [
        ("evidence", Text(outcome.evidence or NONE)),
        *(("finding", Text(finding_words(finding))) for finding in findings),
        ("remedy", Text(remedy_words(outcome.remedy))),
        *((name, Text(shown_path(path, cwd) if path is not None else NONE)) for name, path in files),
    ]
