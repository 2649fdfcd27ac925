"""A run from its claim to its end: every write is an UPDATE guarded by the fencing token.

    queued ─claim→ running ─finish→ succeeded | failed | cancelled | halted
       ↑              ├─hand_over→ queued            its worker is stopped: does not count
       │              ├─pause→ paused ─resume→ queued  as was asked for: does not count; see `pauses`
       └──────────────┴─requeue, requeue_expired→    lost: queued again, failed once too many are lost

Where a cancel was asked for, a run that would be queued again is cancelled instead; where a pause was, it is paused.
Whatever ends a run that a
treatment made also stores what follows, in the same transaction: see `treatments.go_on`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import ColumnElement, case, func, null, select, update
from sqlalchemy.orm import Session

from ganlib.spec import ComparisonSpec, RunSpec
from store import owners, quotas, share, workers
from store.accounts import EQUAL, Sharing
from store.db import after, now
from store.errors import LeaseLost
from store.models import FINAL_STATUSES, Attempt, AttemptOutcome, Kind, Run, Status
from store.share import Head
from store.treatments import go_on

Outcome = Literal["succeeded", "failed", "cancelled", "halted"]
SPECS: dict[Kind, type[RunSpec] | type[ComparisonSpec]] = {"training": RunSpec, "comparison": ComparisonSpec}
"""What the spec of a run of each kind has to be."""
NO_LEASE = {"lease_worker": null(), "lease_expires_at": null()}
UNCOUNTED: tuple[AttemptOutcome, ...] = ("handed over", "paused")
"""How attempts end that say nothing of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run that is ours until its lease expires."""

    run_id: str
    token: int
    attempt: int
    spec: RunSpec | ComparisonSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewResult:
    """What a worker learns when it renews its lease."""

    cancel_requested: bool
    pause_requested: bool


def claim(session: Session, worker: str, lease: timedelta, sharing: Sharing = EQUAL) -> Claim | None:
    """The queued run whose turn it is (see `share`), for this worker alone; None without one that may run.

    A drained worker is given none. A run whose stored spec no longer validates is failed on the way.
    """
    while (run := _claim_next(session, worker, lease, sharing)) is not None:
        session.add(
            Attempt(
                run_id=run.id,
                number=run.attempt,
                token=run.token,
                worker=worker,
                started_at=now(),
                outcome="running",
            )
        )
        session.flush()
        try:
            spec = SPECS[run.kind].model_validate(run.spec)
        except ValidationError as error:  # stored by another version of this code: it must not block the queue
            finish(session, run.id, run.token, "failed", error=str(error), error_kind="InvalidSpec")
            continue
        return Claim(run_id=run.id, token=run.token, attempt=run.attempt, spec=spec)
    return None


def _claim_next(session: Session, worker: str, lease: timedelta, sharing: Sharing) -> Run | None:
    if workers.is_drained(session, worker):
        return None
    waiting = share.heads(session, sharing)
    while waiting:
        head, *waiting = waiting
        run = _claim_within_quota(session, head, worker, lease, sharing)
        if run is not None:
            return run
        # Held back by a quota, or claimed by somebody else since.
        lower = share.below(session, head)
        waiting = waiting if lower is None else share.merged(waiting, lower)
    return None


def _claim_within_quota(session: Session, head: Head, worker: str, lease: timedelta, sharing: Sharing) -> Run | None:
    owner = head.use.owner
    if not quotas.holds_back(owner, sharing):
        return _claim_of(session, head, worker, lease)
    if quotas.reached(session, owner, sharing) is not None:
        return None
    with session.begin_nested() as savepoint:
        quotas.lock(session, owner, sharing)  # of two claims at once, the second counts what the first has taken
        if quotas.reached(session, owner, sharing) is None:
            run = _claim_of(session, head, worker, lease)
            if run is not None:
                return run
        savepoint.rollback()  # lets the owners go: held while others are locked, two claims could wait in a circle
    return None


def _claim_of(session: Session, head: Head, worker: str, lease: timedelta) -> Run | None:
    next_run = (
        select(Run.id)
        .where(Run.status == "queued", Run.owner == head.use.owner.id, Run.priority == head.priority)
        .order_by(Run.created_at, Run.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # PostgreSQL only; on SQLite the transaction holds the one write lock
    )
    return update_run(
        session,
        Run.id == next_run.scalar_subquery(),
        Run.status == "queued",
        status="running",
        attempt=Run.attempt + 1,
        token=Run.token + 1,
        started_at=func.coalesce(Run.started_at, now()),
        lease_worker=worker,
        lease_expires_at=after(lease),
    )


def update_run(session: Session, *guards: ColumnElement[bool], **values: Any) -> Run | None:
    """The run with these columns set; None when no row passed every guard, and nothing was written."""
    statement = update(Run).where(*guards).values(values).returning(Run)
    return session.scalars(
        statement, execution_options={"synchronize_session": False, "populate_existing": True}
    ).one_or_none()


def held(run_id: str, token: int) -> tuple[ColumnElement[bool], ...]:
    """The guards of a write: the run is running, and the token is its newest."""
    return Run.id == run_id, Run.token == token, Run.status == "running"


def update_held(session: Session, run_id: str, token: int, **values: Any) -> Run:
    """The run with these columns set.

    Raises:
        LeaseLost: the token no longer holds it; nothing was written.
    """
    run = update_run(session, *held(run_id, token), **values)
    if run is None:
        raise LeaseLost(run_id, token)
    return run


def require_held(session: Session, run_id: str, token: int) -> Run:
    """The run, which nobody else changes before this transaction ends.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    return update_held(session, run_id, token, step=Run.step)  # an UPDATE, for it locks the row in both databases


def renew(session: Session, run_id: str, token: int, lease: timedelta) -> RenewResult:
    """Keeps the run for another `lease`, counted from now.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = update_held(session, run_id, token, lease_expires_at=after(lease))
    if run.lease_worker is not None:
        workers.beat(session, run.lease_worker)
    return RenewResult(cancel_requested=run.cancel_requested, pause_requested=run.pause_requested)


def report_progress(session: Session, run_id: str, token: int, step: int) -> None:
    """Stores the last step made.

    Raises:
        LeaseLost: the token no longer holds the run.
    """
    update_held(session, run_id, token, step=step)


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

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = update_held(
        session,
        run_id,
        token,
        status=outcome,
        finished_at=now(),
        error=error,
        error_kind=error_kind,
        pause_requested=False,
        **NO_LEASE,
    )
    _end_attempt(session, run, token, outcome, error)
    go_on(session, run)


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


def hand_over(session: Session, run_id: str, token: int) -> Status:
    """Gives the run back because its worker is stopped; the attempt does not count. Its status afterwards.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = update_held(session, run_id, token, **_ended_or("queued"), **NO_LEASE)
    _end_attempt(session, run, token, "handed over", None)
    go_on(session, run)
    return run.status


def pause(session: Session, run_id: str, token: int) -> Status | None:
    """Pauses the run as was asked for; the attempt does not count. Its status afterwards.

    None where nobody asks for it any more: the attempt goes on.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    run = update_run(session, *held(run_id, token), Run.pause_requested.is_(True), **_ended_or("queued"), **NO_LEASE)
    if run is None:
        require_held(session, run_id, token)
        return None
    _end_attempt(session, run, token, "paused", None)
    go_on(session, run)
    return run.status


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

    The run is queued again, or failed with this error once `max_attempts` attempts have counted.

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
    counted = select(func.count()).where(Attempt.run_id == run_id, Attempt.outcome.not_in(UNCOUNTED))
    exhausted = session.scalars(counted).one() >= max_attempts
    failed = {**_ended_or("failed"), "error": error, "error_kind": error_kind}
    run = update_run(session, *guards, **(failed if exhausted else _ended_or("queued")), **NO_LEASE)
    if run is not None:
        _end_attempt(session, run, run.token, "lost", error)
        go_on(session, run)
    return run


def requeue_expired(session: Session, max_attempts: int) -> list[str]:
    """Takes every run whose lease has expired from its worker, as `requeue` does. The ids of those runs."""
    expired = (Run.status == "running", Run.lease_expires_at < now())
    # Locked at once, and without those that somebody writes now, which are not lost: nobody waits in a circle for a run
    # and its owner. Sorted by owner, as quotas lock them.
    query = select(Run.id, Run.token, Run.lease_worker).where(*expired).order_by(Run.owner, Run.id)
    candidates = session.execute(query.with_for_update(skip_locked=True)).all()
    lost: list[str] = []
    for run_id, token, worker in candidates:
        run = _lose(
            session,
            (*held(run_id, token), *expired),
            run_id,
            error=f"worker {worker} stopped renewing its lease",
            error_kind="LeaseExpired",
            max_attempts=max_attempts,
        )
        if run is not None:
            lost.append(run_id)
    return lost


def describe_attempt(
    session: Session,
    run_id: str,
    token: int,
    *,
    device: str,
    threads: int,
    cpu_capability: str,
    versions: Mapping[str, str],
    resumed_from_epoch: int | None,
    identical: bool | None,
) -> None:
    """Stores what the attempt runs on and where it starts.

    Raises:
        LeaseLost: the token no longer holds the run.
    """
    require_held(session, run_id, token)
    session.execute(
        update(Attempt)
        .where(Attempt.run_id == run_id, Attempt.token == token)
        .values(
            device=device,
            threads=threads,
            cpu_capability=cpu_capability,
            versions=dict(versions),
            resumed_from_epoch=resumed_from_epoch,
            identical=identical,
        )
        .execution_options(synchronize_session=False)
    )
