"""The verbs about runs that are made: ls, show, tag, cancel, rm."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ganclinic import views
from ganclinic.cli import comparisons
from ganclinic.cli.output import Output
from ganclinic.cli.tables import run_details, runs_table
from ganclinic.client import Client
from ganclinic.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from ganclinic.views import ComparisonView, RunView

OK = 0
OfRun = TypeVar("OfRun")
OfComparison = TypeVar("OfComparison")


def ls(client: Client, output: Output, options: argparse.Namespace) -> int:
    filters = {name: getattr(options, name) for name in ("status", "preset", "verdict", "batch", "name", "user")}
    runs = list(islice(client.list_runs(**filters, tags=options.tags), options.limit + 1))
    shown = runs[: options.limit]
    if not shown and (any(filters.values()) or options.tags) and not output.as_json:
        output.note("No run matches.")
        return OK
    output.result([r.to_json() for r in shown], runs_table(shown, output.results.width))
    if len(runs) > len(shown):
        output.note(f"There are older runs: ganclinic ls --limit {2 * options.limit}")
    return OK


def show(client: Client, output: Output, options: argparse.Namespace) -> int:
    found = _either(client.get_run, client.get_comparison, options.run)
    if isinstance(found, views.ComparisonView):
        return comparisons.show(output, found)
    diagnosis = evaluation = None
    if found.epochs_done:
        try:
            diagnosis = client.diagnosis(found.id)
            evaluation = next(reversed(client.evaluations(found.id)), None)
        except NotFound:  # an epoch is recorded before its evaluation is due
            diagnosis = evaluation = None
    document = found.to_json() | {
        "diagnosis": diagnosis.to_json() if diagnosis else None,
        "evaluation": evaluation.to_json() if evaluation else None,
    }
    output.result(document, run_details(found, diagnosis, evaluation))
    return OK


def tag(client: Client, output: Output, options: argparse.Namespace) -> int:
    run = client.tag(options.run, options.tags)
    output.result(run.to_json(), f"{run.id} {', '.join(run.tags) or 'has no tags'}")
    return OK


def cancel(client: Client, output: Output, options: argparse.Namespace) -> int:
    ids = named(client, options)
    if not ids:
        raise InvalidInput("Which runs? `ganclinic ls --status running` lists those that are trained now.")
    asked = [_either(client.cancel, client.cancel_comparison, run_id) for run_id in ids]
    output.result([r.to_json() for r in asked], "\n".join(f"{r.id} {_cancel_words(r)}" for r in asked))
    return OK


def rm(client: Client, output: Output, options: argparse.Namespace) -> int:
    for run_id in options.runs:
        _either(partial(client.delete, with_labels=options.with_labels), client.delete_comparison, run_id)
    output.result(options.runs, "\n".join(f"{run_id} deleted" for run_id in options.runs))
    return OK


def _either(
    of_run: Callable[[str], OfRun], of_comparison: Callable[[str], OfComparison], job_id: str
) -> OfRun | OfComparison:
    """What the run of that id gives, or else the comparison."""
    try:
        return of_run(job_id)
    except NotFound as error:
        with suppress(NotFound):
            return of_comparison(job_id)
        raise error from None


def named(client: Client, options: argparse.Namespace) -> list[str]:
    """The runs that were named, one by one or as a batch."""
    batch = client.get_batch(options.batch).runs if options.batch is not None else ()
    return [*options.runs, *(r.id for r in batch)]


def _cancel_words(run: RunView | ComparisonView) -> str:
    if run.status == "running":
        return "will end after its current step" if isinstance(run, views.RunView) else "will end soon"
    return "cancelled" if run.status == "cancelled" else f"was already over: {run.status}"
