"""How an attempt ends: with its run, or so that the run goes on later. What follows is in `follow_ups`."""

from typing import Any, Literal

from sqlalchemy import ColumnElement, case, func, null, select, update
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES, AttemptOutcome, Status
from store.core.db import now
from store.core.errors import LeaseLost
from store.core.models import Attempt, Run
from store.runs import events
from store.runs.attempts import LEASE_EXPIRED, TIME_LIMIT, describe_time_limit, seconds_left, since_extended
from store.runs.follow_ups import follow_up
from store.runs.leases import NO_LEASE, held, require_held, update_held, update_run
from store.scheduling import owners, preemption

Outcome = Literal["succeeded", "failed", "cancelled", "halted"]
UNCOUNTED: tuple[AttemptOutcome, ...] = ("handed over", "paused", "gave way")
"""How attempts end that say nothing of the run."""


def finish(
    session: Session,
    run_id: str,
    token: int,
    outcome: Outcome,
    *,
    error: str | None = None,
    error_kind: str | None = None,
) -> None:
    """Ends the run and its attempt.

    Does nothing where the same token has ended it so before, and the answer of that commit was lost.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = update_run(
        session,
        *held(run_id, token),
        status=outcome,
        finished_at=now(),
        error=error,
        error_kind=error_kind,
        pause_requested=False,
        **NO_LEASE,
    )
    if run is None:
        if outcome_of(session, run_id, token) == outcome:
            return
        raise LeaseLost(run_id, token)
    _end_attempt(session, run, token, outcome, error)
    events.note_status(session, run)
    follow_up(session, run)


def outcome_of(session: Session, run_id: str, token: int) -> AttemptOutcome | None:
    """How the attempt of that token ended, or that it is `running`; None where there is none."""
    query = select(Attempt.outcome).where(Attempt.run_id == run_id, Attempt.token == token)
    return session.scalars(query).one_or_none()


def is_out_of_time(session: Session, run: Run) -> bool:
    """Whether the run has been trained for as long as its spec allows."""
    left = seconds_left(session, run)
    return left is not None and left <= 0


def time_out(session: Session, run_id: str, token: int) -> None:
    """Ends the run and its attempt, for its time is used up. What it has recorded stays.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = require_held(session, run_id, token)
    finish(session, run_id, token, "failed", error=describe_time_limit(run), error_kind=TIME_LIMIT)


def _end_attempt(session: Session, run: Run, token: int, outcome: AttemptOutcome, error: str | None) -> None:
    ended = session.scalars(
        update(Attempt)
        .where(Attempt.run_id == run.id, Attempt.token == token, Attempt.outcome == "running")
        .values(outcome=outcome, ended_at=now(), error=error)
        .returning(Attempt),
        execution_options={"synchronize_session": False, "populate_existing": True},
    ).one_or_none()
    if ended is None:
        raise LeaseLost(run.id, token)
    owners.charge(session, run, ended)


def should_pause(session: Session, run: Run) -> bool:
    """Whether somebody asked for a pause of the running run, or it is to give way to one that still waits."""
    return run.pause_requested or preemption.wanted_by(session, run) is not None


def hand_over(session: Session, run_id: str, token: int, *, was_to_pause: bool = False) -> Status:
    """Gives the run back because its worker is stopped; the attempt does not count. Its status afterwards.

    `was_to_pause`: because it did not come to the end of its epoch in time, after which it would have been paused.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    gives_way_to = preemption.wanted_by(session, require_held(session, run_id, token)) if was_to_pause else None
    run = update_held(session, run_id, token, **_ended_or("queued"), **NO_LEASE)
    _release(session, run, token, "handed over", gives_way_to)
    return run.status


def pause(session: Session, run_id: str, token: int) -> Status | None:
    """Pauses the run, or queues it where it gives way to another; the attempt does not count. Its status afterwards.

    None where nobody asks for it any more: the attempt goes on.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = require_held(session, run_id, token)
    gives_way_to = preemption.still_wanted_by(session, run)
    if not run.pause_requested and gives_way_to is None:
        return None
    run = update_held(session, run_id, token, **_ended_or("queued"), **NO_LEASE)
    _release(session, run, token, "paused", gives_way_to)
    return run.status


def _release(session: Session, run: Run, token: int, outcome: AttemptOutcome, gives_way_to: str | None) -> None:
    """Ends an attempt after which the run is to go on later, or is cancelled."""
    if gives_way_to is not None and run.status == "queued":
        _end_attempt(session, run, token, "gave way", preemption.describe(session, gives_way_to))
        preemption.begin_waiting_again(session, gives_way_to)
    else:
        _end_attempt(session, run, token, outcome, None)
    events.note_status(session, run)
    follow_up(session, run)


def _ended_or(status: Literal["queued", "failed"]) -> dict[str, Any]:
    """The columns of a run that becomes `status`; where it was asked for, cancelled, or paused instead of queued."""
    final = now() if status in FINAL_STATUSES else null()
    asked = [(Run.cancel_requested, "cancelled")]
    if status == "queued":
        asked.append((Run.pause_requested, "paused"))
    return {
        "status": case(*asked, else_=status),
        "finished_at": case((Run.cancel_requested, now()), else_=final),
        "pause_requested": False,
        "waits_since": now() if status == "queued" else Run.waits_since,
    }


def requeue(
    session: Session,
    run_id: str,
    token: int,
    *,
    error: str,
    error_kind: str,
    max_attempts: int,
) -> Status:
    """Ends an attempt that was lost, say killed or stalled; the status of the run afterwards.

    The run is queued again, or failed with this error once `max_attempts` attempts have counted since it was last
    extended.

    Raises:
        LeaseLost: the token no longer holds the run.
    """
    run = _lose(session, held(run_id, token), run_id, error=error, error_kind=error_kind, max_attempts=max_attempts)
    if run is None:
        raise LeaseLost(run_id, token)
    return run.status


def _lose(
    session: Session,
    guards: tuple[ColumnElement[bool], ...],
    run_id: str,
    *,
    error: str,
    error_kind: str,
    max_attempts: int,
) -> Run | None:
    counted = select(func.count()).where(*since_extended(run_id), Attempt.outcome.not_in(UNCOUNTED))
    exhausted = session.scalars(counted).one() >= max_attempts
    failed = {**_ended_or("failed"), "error": error, "error_kind": error_kind}
    run = update_run(session, *guards, **(failed if exhausted else _ended_or("queued")), **NO_LEASE)
    if run is not None:
        _end_attempt(session, run, run.token, "lost", error)
        events.note_status(session, run)
        follow_up(session, run)
    return run


def requeue_expired(session: Session, max_attempts: int) -> list[str]:
    """Takes every run whose lease has expired from its worker, as `requeue` does. The ids of those runs."""
    expired = (Run.status == "running", Run.lease_expires_at < now())
    # Locked at once, and without those that somebody writes now, which are not lost: no deadlock arises over a run and
    # its owner. Sorted by owner, as quotas lock them.
    query = select(Run.id, Run.token, Run.lease_worker).where(*expired).order_by(Run.owner, Run.id)
    candidates = session.execute(query.with_for_update(skip_locked=True)).all()
    lost: list[str] = []
    for run_id, token, worker in candidates:
        run = _lose(
            session,
            (*held(run_id, token), *expired),
            run_id,
            error=f"worker {worker} {LEASE_EXPIRED}",
            error_kind="LeaseExpired",
            max_attempts=max_attempts,
        )
        if run is not None:
            lost.append(run_id)
    return lost
