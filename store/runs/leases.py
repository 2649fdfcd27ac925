"""Leases: how a worker holds a run. Every write is an UPDATE guarded by the fencing token.

    queued ─claim→ running ─finish→ succeeded | failed | cancelled | halted
       ↑              ├─hand_over→ queued            its worker is stopped: does not count
       │              ├─pause→ paused ─resume→ queued  as was asked for: does not count; see `pauses`
       │              ├─pause→ queued                for another run: does not count; see `preemption`
       │              ├─time_out→ failed             its time is used up: see `attempts`
       └──────────────┴─requeue, requeue_expired→    lost: queued again, failed once too many are lost

Where a cancel was asked for, a run that would be queued again is cancelled instead; where a pause was, it is paused.
`claims` has the first arrow, `endings` the others. What follows is stored in the same transaction: see `follow_ups`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarResult, func, null, update
from sqlalchemy.orm import Session

from store.core.db import after, now
from store.core.errors import LeaseLost
from store.core.models import Attempt, Run
from store.runs.attempts import seconds_left
from store.runs.machines import Machine
from store.scheduling import preemption, workers

NO_LEASE = {"lease_worker": null(), "lease_expires_at": null(), "gives_way_to": null()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewResult:
    """What a worker learns when it renews its lease."""

    cancel_requested: bool
    pause_requested: bool
    """Or it is to give way to another run, as `pause` does, too."""
    gives_way: bool
    """Whether it is to, for which all that are trained with it have to leave their place."""
    seconds_left: float | None
    """For which the run may still be trained: see `attempts.seconds_left`."""


def update_run(session: Session, *guards: ColumnElement[bool], **values: Any) -> Run | None:
    """The run with these columns set; None when no row passed every guard, and nothing was written."""
    return _update(session, guards, values).one_or_none()


def take(session: Session, worker: str, lease: timedelta, *guards: ColumnElement[bool]) -> Run | None:
    """The queued run that passes every guard, running for that worker from now on; None where none does."""
    return _update(session, (*guards, Run.status == "queued"), _taken(worker, lease)).one_or_none()


def take_each(session: Session, worker: str, lease: timedelta, run_ids: Sequence[str]) -> list[Run]:
    """Those of these runs that are queued, running for that worker from now on, in their order."""
    guards = Run.id.in_(run_ids), Run.status == "queued"
    taken = _update(session, guards, _taken(worker, lease)).all() if run_ids else ()
    return sorted(taken, key=lambda run: run_ids.index(run.id))


def _taken(worker: str, lease: timedelta) -> dict[str, Any]:
    return {
        "status": "running",
        "attempt": Run.attempt + 1,
        "token": Run.token + 1,
        "started_at": func.coalesce(Run.started_at, now()),
        "lease_worker": worker,
        "lease_expires_at": after(lease),
    }


def _update(session: Session, guards: Sequence[ColumnElement[bool]], values: dict[str, Any]) -> ScalarResult[Run]:
    statement = update(Run).where(*guards).values(values).returning(Run)
    return session.scalars(statement, execution_options={"synchronize_session": False, "populate_existing": True})


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


def renew(
    session: Session, run_id: str, token: int, lease: timedelta, *, step: int | None = None, is_heartbeat: bool = True
) -> RenewResult:
    """Keeps the run for another `lease`, counted from now, and stores the last step made, where it is given.

    `is_heartbeat`: says that the worker is alive, too, which need not be as often.

    Raises:
        LeaseLost: the token no longer holds it.
    """
    progress = {} if step is None else {"step": step}
    run = update_held(session, run_id, token, lease_expires_at=after(lease), **progress)
    if is_heartbeat and run.lease_worker is not None:
        workers.beat(session, run.lease_worker)
    gives_way_to = preemption.still_wanted_by(session, run)
    return RenewResult(
        cancel_requested=run.cancel_requested,
        pause_requested=run.pause_requested or gives_way_to is not None,
        gives_way=gives_way_to is not None,
        seconds_left=seconds_left(session, run),
    )


def describe_attempt(
    session: Session,
    run_id: str,
    token: int,
    machine: Machine,
    *,
    resumed_from_epoch: int | None,
    identical: bool | None,
) -> None:
    """Stores what the attempt runs on, and after which epoch it goes on: None where it begins anew.

    `identical`: whether it goes on as if never disturbed; None where it begins anew.

    Raises:
        LeaseLost: the token no longer holds the run.
    """
    require_held(session, run_id, token)
    session.execute(
        update(Attempt)
        .where(Attempt.run_id == run_id, Attempt.token == token)
        .values(
            **asdict(machine),
            resumed_from_epoch=resumed_from_epoch,
            identical=identical,
        )
        .execution_options(synchronize_session=False)
    )
