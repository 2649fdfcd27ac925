"""Runs, as the API answers them."""

from collections.abc import Iterable

from api.views import fields_of
from ganlib.wire.paths import run_path
from ganlib.wire.runs import AttemptView, RunDetail, RunView
from store.core.models import Attempt, Run


def run_view(run: Run) -> RunView:
    """A stored run."""
    return RunView(**fields_of(RunView, run), links=run_links(run.id))


def run_detail(run: Run, attempts: Iterable[Attempt]) -> RunDetail:
    """A stored run and its attempts."""
    return RunDetail(
        **fields_of(RunDetail, run), links=run_links(run.id), attempts=tuple(attempt_view(found) for found in attempts)
    )


def attempt_view(attempt: Attempt) -> AttemptView:
    """A stored attempt."""
    return AttemptView(**fields_of(AttemptView, attempt))


def run_links(run_id: str) -> dict[str, str]:
    """Paths of everything that belongs to a run."""
    run = run_path(run_id)
    return {
        "self": run,
        "series": f"{run}/series",
        "samples": f"{run}/samples",
        "losses": f"{run}/figures/losses.png",
        "ndb": f"{run}/ndb",
        "ndb_figure": f"{run}/figures/ndb.png",
        "diagnosis": f"{run}/diagnosis",
        "labels": f"{run}/labels",
        "evaluations": f"{run}/evaluations",
        "treatments": f"{run}/treatments",
        "family": f"{run}/family",
        "log": f"{run}/log",
        "waiting": f"{run}/waiting",
    }
