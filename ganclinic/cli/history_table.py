"""The history of another trainer, and its diagnosis, as a table."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ganclinic.cli.tables import fields, verdict_block
from ganlib.foreign_logs.history import HistoryDiagnosis
from ganlib.foreign_logs.implied.answer import standing_words


def history_details(source: str, found: HistoryDiagnosis) -> RenderableType:
    """How a history was read, what it shows, and what cannot be said for want of signals."""
    reading, history = found.reading, found.reading.history
    epochs = f"{history.epochs_total} epochs of {history.steps_per_epoch}" if reading.epochs_known else "epochs unknown"
    rows: list[tuple[str, RenderableType]] = [
        ("history", source),
        ("rows", f"{len(history.steps)} of {history.updates} updates, {epochs}"),
        ("objective", f"{reading.read_as.objective}: {reading.implied.why}"),
        ("signals", ", ".join(f"{signal} = '{name}'" for signal, name in reading.sources.items())),
    ]
    if reading.left_out:
        rows.append(("left out", ", ".join(f"'{name}'" for name in reading.left_out)))
    rows += [("note", note) for note in reading.notes]
    evaluation = history.evaluations[-1] if history.evaluations else None
    verdict = verdict_block(None, found.diagnosis, evaluation)
    beside = [*_implied_rows(found), *_unsaid_rows(found)]
    return Group(fields(rows), Text(), verdict, Padding(fields(beside), (1, 0, 0, 0)))


def _implied_rows(found: HistoryDiagnosis) -> Sequence[tuple[str, RenderableType]]:
    """What the numbers imply beside the verdict, and what would decide more."""
    implied = found.reading.implied
    rows: list[tuple[str, RenderableType]] = [("only if", conditional.words) for conditional in found.conditional]
    if standing := standing_words(implied):
        rows.append(("standing", standing))
    rows += [("typical of", f"{fault.name}: {fault.reason}. {fault.check}") for fault in implied.faults]
    rows += [("ruled out", f"{name}: {why}") for name, why in found.excluded.items()]
    if found.would_decide:
        rows.append(("would decide", found.would_decide))
    return rows


def _unsaid_rows(found: HistoryDiagnosis) -> Sequence[tuple[str, RenderableType]]:
    """Signals that are missing, together where the same findings need them."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name, findings in found.unsaid.items():
        names.setdefault(findings, []).append(name)
    rows: list[tuple[str, RenderableType]] = []
    for findings, group in names.items():
        how = "known in part" if set(group) <= set(found.reading.bounded) else "not recorded"
        rows.append(("lacking", f"{', '.join(group)} ({how}): for {', '.join(findings)}"))
    return rows
