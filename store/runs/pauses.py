"""Pausing runs and resuming them: what people ask for. What a training does with it is in `endings.pause`."""

from sqlalchemy import ColumnElement, case
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES, Status
from store.core.db import now
from store.core.errors import NotPausable
from store.core.models import Run
from store.runs import events
from store.runs.leases import update_run
from store.runs.lifecycle import get


def pause(session: Session, run_id: str) -> Run:
    """The training after it was asked to pause.

    A queued run is paused at once. A running one goes on to the end of its epoch, so that nothing is made twice, and
    releases its worker then; one that has been asked to end ends instead. A paused one stays as it is.

    Raises:
        RunNotFound: there is no such run.
        NotPausable: it is over, or trained elsewhere.
    """
    # One UPDATE: between two, the run could be claimed or handed over, and the request be lost.
    queued = Run.status == "queued"
    running = (Run.status == "running") & Run.pause_requested.is_(False)
    _change(session, run_id, queued | running, "paused", when=queued, requested=~queued)
    return _not_over(session, run_id)


def resume(session: Session, run_id: str) -> Run:
    """The training after it was put back into the queue, at its old place, or after its pause was called off.

    Raises:
        RunNotFound: there is no such run.
        NotPausable: it is over.
    """
    paused = Run.status == "paused"
    _change(session, run_id, paused | Run.pause_requested, "queued", when=paused, requested=False)
    return _not_over(session, run_id)


def _change(
    session: Session,
    run_id: str,
    guard: ColumnElement[bool],
    status: Status,
    *,
    when: ColumnElement[bool],
    requested: ColumnElement[bool] | bool,
) -> None:
    changed = update_run(
        session,
        *(Run.id == run_id, Run.kind == "training", Run.watched.is_(False), guard),
        status=case((when, status), else_=Run.status),
        pause_requested=requested,
        waits_since=case((when, now()), else_=Run.waits_since),
    )
    if changed is not None:
        events.note_status(session, changed)


def _not_over(session: Session, run_id: str) -> Run:
    run = get(session, run_id)
    if run.status in FINAL_STATUSES or run.watched:
        raise NotPausable(run_id, run.status, watched=run.watched)
    return run
