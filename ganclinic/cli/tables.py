"""Runs, presets and verdicts as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ganclinic.cli.words import (
    NONE,
    age_words,
    confidence_words,
    count_words,
    duration_words,
    episode_words,
    grade_words,
    ndb_words,
    null_words,
    number_words,
    progress_words,
    settings_words,
    shortened,
    status_text,
    verdict_text,
)
from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.diagnosis.words import evidence_words
from ganlib.records import EpochEvaluation

if TYPE_CHECKING:
    from ganclinic.views import ComparisonView, LabelView, RunDetails, RunView, UploadView

WIDE = 110
"""Columns from which on a table shows all it has."""
MEDIUM = 80
GAP = 2
SHORTEST_NAME = 6


def runs_table(runs: Sequence[RunView], width: int) -> RenderableType:
    """One line a run; a narrow terminal sees fewer columns, and always whole ids."""
    if not runs:
        return Text("No runs yet. Make one: ganclinic run digit8-stable --watch")
    are_shared = width >= WIDE and any(run.user != "default" for run in runs)
    heads = ("run", "name", *(("user",) if are_shared else ()), *_heads(width))
    rows = [_cells(run) for run in runs]
    widths = {head: max(len(head), *(len(row[head]) for row in rows)) for head in heads}
    taken = sum(widths.values()) - widths["name"] + GAP * (len(heads) - 1)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for head in heads:
        table.add_column(head, no_wrap=True, justify="right" if head == "epoch" else "left")
    for row in rows:
        row["name"] = Text(shortened(row["name"].plain, max(SHORTEST_NAME, width - taken)))
        table.add_row(*(row[head] for head in heads))
    return table


def _heads(width: int) -> Sequence[str]:
    if width < MEDIUM:
        return ("state",)
    return ("status", "epoch", "verdict", "severity", "preset", "made")[: 6 if width >= WIDE else 4]


def _cells(run: RunView) -> dict[str, Text]:
    return {
        "run": Text(run.id),
        "name": Text(run.label),
        "user": Text(run.user),
        "state": verdict_text(run.verdict) if run.status == "succeeded" else status_text(run),
        "status": status_text(run),
        "epoch": Text(progress_words(run)),
        "verdict": verdict_text(run.verdict),
        "severity": Text(run.severity or NONE),
        "preset": Text(run.preset or NONE),
        "made": Text(age_words(run.created_at)),
    }


def fields(rows: Sequence[tuple[str, RenderableType]]) -> Table:
    """Names and values below each other; long values wrap beside their name."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def run_details(run: RunDetails, diagnosis: Diagnosis | None, evaluation: EpochEvaluation | None) -> RenderableType:
    """All that a person wants to know of one run."""
    rows: list[tuple[str, RenderableType]] = [("run", run.id)]
    rows += [(name, value) for name, value in (("name", run.name), ("preset", run.preset)) if value]
    if run.tags:
        rows.append(("tags", ", ".join(run.tags)))
    if run.user != "default":
        rows.append(("user", run.user + (f" (team {run.team})" if run.team else "")))
    rows += [("status", status_text(run)), ("epochs", progress_words(run)), ("made", age_words(run.created_at))]
    if run.status == "queued":
        rows.append(("waits for", Text(f"ganclinic why {run.id}", style="bold")))
    if run.priority != 0:
        rows.append(("priority", str(run.priority)))
    if run.started_at is not None and run.finished_at is not None:
        rows.append(("took", duration_words((run.finished_at - run.started_at).total_seconds())))
    rows += [(f"attempt {a.number}", _attempt_words(run, a.number)) for a in run.attempts]
    if run.status == "halted":
        rows.append(("halted", f"after epoch {run.epochs_done} of {run.epochs_total}, by {_halt_words(run)}"))
    if run.error:
        rows.append(("error", Text(run.error, style="red")))
    return Group(fields(rows), Text(), verdict_block(run, diagnosis, evaluation))


def _halt_words(run: RunDetails) -> str:
    """`diagnosis.halt_on (mode collapse)`: the part of the spec that halted the run."""
    named = run.spec.get("diagnosis", {}).get("halt_on", ())
    return f"diagnosis.halt_on ({', '.join(named)})"


def _attempt_words(run: RunDetails, number: int) -> str:
    attempt = next(a for a in run.attempts if a.number == number)
    parts = [attempt.outcome]
    if attempt.device:
        parts.append(
            f"on {attempt.device}" + (f", {count_words(attempt.threads, 'thread')}" if attempt.threads else "")
        )
    if attempt.resumed_from_epoch is not None:
        same = "" if attempt.identical is not False else ", not bit-identical"
        parts.append(f"resumed after epoch {attempt.resumed_from_epoch}{same}")
    if attempt.versions:
        parts.append(", ".join(f"{name} {version}" for name, version in attempt.versions.items()))
    if attempt.error and attempt.error != run.error:
        parts.append(attempt.error)
    return "; ".join(parts)


def verdict_block(
    run: RunView | None, diagnosis: Diagnosis | None, evaluation: EpochEvaluation | None
) -> RenderableType:
    """The verdict, its findings with evidence, and what to change; `run` is None for a history that is no run's."""
    if diagnosis is None:
        return Text("No verdict yet: the first one comes after the first epoch.")
    title = Text.assemble(verdict_text(diagnosis.verdict))
    if diagnosis.findings:
        first = diagnosis.findings[0]
        which = f"; {first.name}, mild" if diagnosis.severity == "mild" else f", {diagnosis.severity}"
        title.append(f"{which}, first seen in epoch {first.first_epoch}")
    rows: list[tuple[str, RenderableType]] = [("reason", diagnosis.reason)]
    if diagnosis.grade is not None:
        rows.append(("samples", grade_words(diagnosis)))
    rows.append(("NDB/K", ndb_words(evaluation)))
    rows += [("recovered", episode_words(episode)) for episode in diagnosis.recovered]
    if "memorisation" in diagnosis.missing:
        rows.append(("lacking", "memorisation: it was not measured, and cannot be found"))
    parts: list[RenderableType] = [title, Padding(fields(rows), (0, 0, 0, 2))]
    parts += [Padding(_finding_block(finding), (1, 0, 0, 2)) for finding in diagnosis.findings]
    if run is not None and run.is_final and any(finding.remedies for finding in diagnosis.findings):
        command = Text(f"ganclinic treat {run.id}", style="bold")
        parts.append(
            Text.assemble("\nRemedies change this run's own spec; to try them, one after the other: ", command)
        )
    return Group(*parts)


def _finding_block(finding: Finding) -> RenderableType:
    rows: list[tuple[str, RenderableType]] = [("what", finding.summary)]
    rows += [("evidence", evidence_words(evidence)) for evidence in finding.evidence]
    rows.append(("confidence", confidence_words(finding)))
    rows += [("check", finding.check)] if finding.check else []
    for remedy in finding.remedies:
        if not remedy.patch:  # no spec is known that it could change
            rows.append(("remedy", f"{remedy.name}: {remedy.reason}"))
            continue
        rows.append(("remedy", remedy.reason))
        rows.append(("", Text(settings_words(remedy.patch), style="bold")))
    return Group(Text(f"{finding.name} ({finding.severity})"), fields(rows))


def comparison_details(comparison: ComparisonView) -> RenderableType:
    """What was compared, and every figure beside its null."""
    rows: list[tuple[str, RenderableType]] = [
        ("comparison", comparison.id),
        ("status", comparison.status),
        ("samples", f"{comparison.n_fake} fakes, {comparison.n_real} reals of the shape {list(comparison.shape)}"),
        ("space", _space_words(comparison)),
    ]
    if comparison.error:
        rows.append(("error", Text(comparison.error, style="red")))
    if comparison.evaluation is None:
        return fields(rows)
    return Group(fields(rows), Text(), figures_table(comparison.evaluation))


def comparisons_table(comparisons: Sequence[ComparisonView]) -> RenderableType:
    """One line a comparison."""
    if not comparisons:
        return Text("No comparisons yet. Make one: ganclinic compare REAL FAKE")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for head in ("comparison", "status", "reals", "fakes", "shape", "space"):
        table.add_column(head, no_wrap=True, justify="right" if head in {"reals", "fakes"} else "left")
    for made in comparisons:
        shape = " x ".join(map(str, made.shape))
        cells = (made.id, made.status, str(made.n_real), str(made.n_fake), shape, _space_words(made))
        table.add_row(*map(Text, cells))
    return table


def _space_words(comparison: ComparisonView) -> str:
    """The feature space; what is called pixels of images are a point's coordinates."""
    space = str(comparison.options.get("space", NONE))
    return "coordinates" if space == "pixels" and len(comparison.shape) == 1 else space


def figures_table(evaluation: EpochEvaluation) -> RenderableType:
    """Each figure with its null: the mean of what real data scores, with its 5 % and 95 % quantiles."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    table.add_column("figure", no_wrap=True)
    for head in ("value", "null", "excess"):
        table.add_column(head, no_wrap=True, justify="right")
    for name, value in evaluation.values.items():
        null = evaluation.nulls.get(name)
        words = (NONE, NONE) if null is None else (null_words(null), number_words(null.excess))
        table.add_row(name, number_words(value), *words)
    return table


def labels_table(labels: Sequence[LabelView]) -> RenderableType:
    """One line a label: who said what of which run, against which verdict."""
    if not labels:
        return Text("No labels yet. Make one: ganclinic dispute RUN --finding NAME --absent")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for head in ("run", "epoch", "verdict", "said to be", "author", "made", "note"):
        table.add_column(head, no_wrap=head != "note", justify="right" if head == "epoch" else "left")
    for label in labels:
        epoch = "all" if label.epoch is None else str(label.epoch)
        said = f"{label.finding}: {'present' if label.holds else 'absent'}"
        verdict = f"{label.verdict} (ruleset {label.ruleset})"
        cells = (label.run_id, epoch, verdict, said, label.author, age_words(label.created_at), label.note or NONE)
        table.add_row(*map(Text, cells))
    return table


def uploads_table(uploads: Sequence[UploadView]) -> RenderableType:
    """One line an uploaded set."""
    if not uploads:
        return Text("No uploads yet. Make one: ganclinic upload PATH")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for head in ("upload", "samples", "shape", "classes", "name"):
        table.add_column(head, no_wrap=head != "name", justify="right" if head in {"samples", "classes"} else "left")
    for upload in uploads:
        classes = str(len(upload.class_names)) if upload.class_names else NONE
        cells = (upload.id, str(upload.count), " x ".join(map(str, upload.shape)), classes, upload.name or NONE)
        table.add_row(*map(Text, cells))
    return table
