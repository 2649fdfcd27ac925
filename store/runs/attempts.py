"""Attempts that count against a run, which are those since it was last extended, and the time that it has left."""

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import now
from store.core.models import Attempt, Run

TIME_LIMIT = "TimeLimit"
"""The error of a run that was trained for as long as its spec allows."""


LEASE_EXPIRED = "stopped renewing its lease"
"""How the error ends of an attempt that was lost together with its worker."""


def since_extended(run_id: str) -> tuple[ColumnElement[bool], ...]:
    """The run's attempts since it was last extended, or all.

    An attempt after one that ended the run follows an extension, with which the count begins anew.
    """
    of_run = Attempt.run_id == run_id
    ended = select(func.coalesce(func.max(Attempt.number), 0)).where(of_run, Attempt.outcome.in_(FINAL_STATUSES))
    return of_run, Attempt.number > ended.scalar_subquery()


def max_hours(run: Run) -> float | None:
    """Hours that its spec allows; None: as many as it takes."""
    return run.spec.get("resources", {}).get("max_hours")


def seconds_left(session: Session, run: Run) -> float | None:
    """For which the run may still be trained, by the database's clock; below 0 past its time, None without a limit."""
    hours = max_hours(run)
    if hours is None:
        return None
    took = func.sum(func.coalesce(Attempt.ended_at, now()) - Attempt.started_at)
    return 3600 * hours - (session.scalars(select(took).where(*since_extended(run.id))).one() or 0.0)


def describe_time_limit(run: Run) -> str:
    """What a run whose time is used up is told: the limit, and how to let it go on."""
    return (
        f"the run has been trained for the {max_hours(run):g} h that resources.max_hours allows, and keeps what it has "
        "recorded; to let it go on from its last checkpoint, extend it, with which the count begins anew"
    )
