"""What came of several runs, side by side: in what their specs differ, their last figures, how long they took."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from ganlib.diagnosis.ruleset import ruleset_order
from store.core.models import Artifact, DiagnosisRow, Epoch, EvaluationRow, Run

RUNS_AT_ONCE = 500
"""Whose rows are read by one statement."""

Flat = dict[str, Any]
"""Fields of a spec by their dotted paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How a run's fakes compared with real data."""

    epoch: int
    values: dict[str, float | None]
    nulls: dict[str, float | None]
    """Their mean where fakes are real data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictSpan:
    """What a run was found to be over some epochs, both included."""

    first_epoch: int
    last_epoch: int
    verdict: str
    severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What came of a run, as far as it is."""

    run: Run
    spec: Flat
    """Only the fields that differ."""
    seconds: float
    figures: Figures | None


def results_of(session: Session, runs: Sequence[Run]) -> tuple[list[str], list[RunResult]]:
    """The fields in which the runs' specs differ, and what came of each."""
    flat = [flatten(run.spec) for run in runs]
    varied = differing(flat)
    ids = [run.id for run in runs]
    seconds, figures = _seconds(session, ids), _last_figures(session, ids)
    return varied, [
        RunResult(
            run=run,
            spec={path: spec[path] for path in varied if path in spec},
            seconds=seconds.get(run.id, 0.0),
            figures=figures.get(run.id),
        )
        for run, spec in zip(runs, flat, strict=True)
    ]


def flatten(document: dict[str, Any], prefix: str = "") -> Flat:
    """Each field that is no object, by its dotted path. Lists are values."""
    flat: Flat = {}
    for name, value in document.items():
        if isinstance(value, dict) and value:
            flat |= flatten(cast("dict[str, Any]", value), f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def differing(specs: Sequence[Flat]) -> list[str]:
    """The fields that not all have, or have alike, in the order in which they come."""
    paths = dict.fromkeys(path for spec in specs for path in spec)
    missing = object()
    return [path for path in paths if any(spec.get(path, missing) != specs[0].get(path, missing) for spec in specs)]


def means_of(session: Session, run_ids: Sequence[str]) -> dict[str, dict[int, dict[str, float | None]]]:
    """Of each run and epoch, the mean of each column."""
    found: dict[str, dict[int, dict[str, float | None]]] = {run_id: {} for run_id in run_ids}
    query = select(Epoch.run_id, Epoch.epoch, Epoch.means).where(Epoch.run_id.in_(run_ids))
    for run_id, epoch, means in session.execute(query.order_by(Epoch.epoch)):
        found[run_id][epoch] = means
    return found


def figures_of(session: Session, run_ids: Sequence[str]) -> dict[str, list[Figures]]:
    """Of each run, its figures in the order of its evaluated epochs."""
    found: dict[str, list[Figures]] = {run_id: [] for run_id in run_ids}
    query = _figures().where(EvaluationRow.run_id.in_(run_ids)).order_by(EvaluationRow.epoch)
    for run_id, epoch, values, nulls in session.execute(query):
        found[run_id].append(_read(epoch, values, nulls))
    return found


def verdicts_of(session: Session, run_ids: Sequence[str]) -> dict[str, list[VerdictSpan]]:
    """Of each run, its verdicts in order: neighbouring epochs that are judged alike, by the newest rules, are one."""
    row = DiagnosisRow
    query = select(row.run_id, row.epoch, row.ruleset, row.verdict, row.severity).where(row.run_id.in_(run_ids))
    newest: dict[tuple[str, int], tuple[str, str, str]] = {}
    for run_id, epoch, ruleset, verdict, severity in session.execute(query.order_by(row.epoch)):
        before = newest.get((run_id, epoch))
        if before is None or ruleset_order(ruleset) > ruleset_order(before[0]):
            newest[run_id, epoch] = ruleset, verdict, severity
    found: dict[str, list[VerdictSpan]] = {run_id: [] for run_id in run_ids}
    for (run_id, epoch), (_, verdict, severity) in newest.items():
        spans = found[run_id]
        last = spans[-1] if spans else None
        if last is not None and (last.last_epoch, last.verdict, last.severity) == (epoch - 1, verdict, severity):
            spans[-1] = replace(last, last_epoch=epoch)
        else:
            spans.append(VerdictSpan(first_epoch=epoch, last_epoch=epoch, verdict=verdict, severity=severity))
    return found


def pictured_epochs(session: Session, run_ids: Sequence[str]) -> dict[str, list[int]]:
    """Of each run, the epochs that have a picture of samples, in order."""
    found: dict[str, list[int]] = {run_id: [] for run_id in run_ids}
    query = select(Artifact.run_id, Artifact.epoch).where(Artifact.run_id.in_(run_ids), Artifact.kind == "samples")
    for run_id, epoch in session.execute(query.order_by(Artifact.epoch)):
        found[run_id].append(epoch)
    return found


def _seconds(session: Session, run_ids: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for some in _pages(run_ids):
        query = select(Epoch.run_id, func.sum(Epoch.seconds)).where(Epoch.run_id.in_(some)).group_by(Epoch.run_id)
        found |= {run_id: float(seconds) for run_id, seconds in session.execute(query)}
    return found


def _last_figures(session: Session, run_ids: Sequence[str]) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    for some in _pages(run_ids):
        last = (
            select(EvaluationRow.run_id, func.max(EvaluationRow.epoch).label("epoch"))
            .where(EvaluationRow.run_id.in_(some))
            .group_by(EvaluationRow.run_id)
            .subquery()
        )
        is_last = (EvaluationRow.run_id == last.c.run_id) & (EvaluationRow.epoch == last.c.epoch)
        for run_id, epoch, values, nulls in session.execute(_figures().join(last, is_last)):
            found[run_id] = _read(epoch, values, nulls)
    return found


def _figures() -> "Select[str, int, Any, Any]":
    """Without the bins, which are most of an evaluation."""
    document = EvaluationRow.document
    return select(EvaluationRow.run_id, EvaluationRow.epoch, document["values"], document["nulls"])


def _read(epoch: int, values: dict[str, Any] | None, nulls: dict[str, Any] | None) -> Figures:
    means = {name: null.get("mean") for name, null in (nulls or {}).items()}
    return Figures(epoch=epoch, values=values or {}, nulls=means)


def _pages(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (run_ids[first : first + RUNS_AT_ONCE] for first in range(0, len(run_ids), RUNS_AT_ONCE))


def figure_names(found: Iterable[RunResult]) -> list[str]:
    """The figures that one of the runs has, in the order in which they come."""
    return list(dict.fromkeys(name for each in found if each.figures is not None for name in each.figures.values))
