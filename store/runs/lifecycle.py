"""Runs as people see them: create, look up, list, cancel. What workers do with them is in `claims`.

A comparison is a run of another kind (see `comparisons`), which nothing here sees unless it is asked to.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import TypedDict, Unpack

from pydantic import BaseModel
from sqlalchemy import ColumnElement, case, select, update
from sqlalchemy.orm import Session

from ganlib.spec.checks.stacking import stack_key
from ganlib.spec.hashing import spec_hash
from ganlib.spec.request import Document, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.wire.statuses import FINAL_STATUSES, Status
from store.core.db import clock, now
from store.core.errors import RunNotFound
from store.core.idempotency import insert_once
from store.core.models import TRAINED_ALONE, Attempt, Kind, Run, Treatment
from store.core.pages import Page, page_of
from store.operations import tracing
from store.runs import events, tags
from store.runs.leases import update_run
from store.scheduling.owners import NOBODY_ELSE, Owner, ensure

RUN_ID = re.compile("[0-9a-f]{16}")


def create(
    session: Session,
    request: RunRequest,
    spec: RunSpec,
    *,
    priority: int | None = None,
    owner: Owner = NOBODY_ELSE,
    idempotency_key: str | None = None,
) -> Run:
    """A new queued run, or the run that the same request with the same idempotency key made.

    `priority` counts instead of the request's where it is given.

    Raises:
        IdempotencyConflict: the key was used for another request.
    """
    run = new_run(request, spec, priority=priority, owner=owner)
    run.created_at = clock(session)
    return insert(session, run, idempotency_key)


def insert(session: Session, run: Run, idempotency_key: str | None) -> Run:
    """The new run, or the one that the same request with the same idempotency key made.

    Raises:
        IdempotencyConflict: the key was used for another request.
    """
    ensure(session, Owner.of(run))
    stored, is_new = insert_once(session, run, idempotency_key)
    if is_new:
        events.note_status(session, stored)
        tags.note_new(session, [stored])
    return stored


def new_run(request: RunRequest, spec: RunSpec, *, priority: int | None = None, owner: Owner = NOBODY_ELSE) -> Run:
    """A queued run that is in no session yet and has no `created_at`; its owner has to be stored before it.

    `priority` counts instead of the request's where it is given.
    """
    return Run(
        id=new_id(),
        name=request.name,
        tags=list(request.tags),
        preset=request.preset,
        spec=spec.model_dump(mode="json"),
        spec_hash=spec_hash(spec),
        seed=spec.seed,
        status="queued",
        priority=request.priority if priority is None else priority,
        **owner.columns,
        request_hash=hash_request(request),
        epochs_total=spec.training.epochs,
        steps_per_epoch=spec.steps_per_epoch,
        stack_key=stack_key(spec) or TRAINED_ALONE,
    )


def note_request(made: Iterable[Run], request_id: str) -> bool:
    """Stores which HTTP request made the runs; those that an earlier one made keep its id. Whether this made any."""
    new = [run for run in made if run.request_id is None]
    traceparent = tracing.current_traceparent()
    for run in new:
        run.request_id, run.traceparent = request_id, traceparent
    if len(new) == 1:
        tracing.current_span().note({tracing.RUN: new[0].id})
    return bool(new)


def new_id() -> str:
    """16 random hex digits."""
    return secrets.token_hex(8)


def hash_request(*requests: BaseModel) -> str:
    """SHA-256 of the requests as canonical JSON, 64 hex digits."""
    documents = [_hashed(request) for request in requests]
    return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()


def _hashed(request: BaseModel) -> Document:
    """What is hashed of a request: without a priority of 0 and without no tags, as requests had neither once."""
    document = request.model_dump(mode="json")
    if isinstance(request, RunRequest):
        for name in ("priority", "tags"):
            if not document[name]:
                del document[name]
    return document


def get(session: Session, run_id: str) -> Run:
    """The training of that id, as the database has it now.

    Raises:
        RunNotFound: there is none.
    """
    run = find(session, run_id)
    if run is None or run.kind != "training":
        raise RunNotFound(run_id)
    return run


def get_locked(session: Session, run_id: str) -> Run:
    """As `get`; nobody else changes it before this transaction ends.

    Raises:
        RunNotFound: there is none.
    """
    query = select(Run).where(Run.id == run_id, Run.kind == "training").with_for_update(key_share=True)
    run = session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
    if run is None:
        raise RunNotFound(run_id)
    return run


def find(session: Session, run_id: str) -> Run | None:
    """The run of that id, of any kind, as the database has it now; None where there is none."""
    return session.get(Run, run_id, populate_existing=True)


def attempts(session: Session, run_id: str) -> list[Attempt]:
    """The run's attempts, first to last."""
    return list(session.scalars(select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.number)))


class RunFilters(TypedDict, total=False):
    """What runs may be listed by, each by the column of its name; None: any."""

    status: Status | None
    preset: str | None
    verdict: str | None
    batch_id: str | None
    name: str | None
    user: str | None
    team: str | None


def list_runs(
    session: Session,
    *,
    limit: int = 50,
    cursor: str | None = None,
    made_after: float | None = None,
    made_before: float | None = None,
    with_tags: Sequence[str] = (),
    **filters: Unpack[RunFilters],
) -> Page[Run]:
    """The runs that match every given filter, newest first; runs made meanwhile shift no later page.

    `made_after`, `made_before`: only those made then, in seconds since 1970. `with_tags`: only those that have all.

    Raises:
        InvalidCursor: the cursor was not made by this list.
    """
    given = {column: str(value) for column, value in filters.items() if value is not None}
    guards: list[ColumnElement[bool]] = [tags.has(tag) for tag in with_tags]
    if made_after is not None:  # as the next: the list's own index has runs by that time
        guards.append(Run.created_at > made_after)
    if made_before is not None:
        guards.append(Run.created_at < made_before)
    return page_of(session, Run, *guards, limit=limit, cursor=cursor, kind="training", **given)


def cancel(session: Session, run_id: str) -> Run:
    """The training after it was asked to stop.

    A queued, paused or watched run is cancelled at once, another that is running when its worker hears of it; one that
    has ended stays as it is.

    Raises:
        RunNotFound: there is no such run.
    """
    ask_to_stop(session, "training", run_id)
    return get(session, run_id)


def ask_to_stop(session: Session, kind: Kind, run_id: str) -> None:
    """Cancels the run of that kind where it is queued, paused or watched, and asks for its end where it is running.

    The treatment that made it, if any, is over then.
    """
    # One UPDATE: between two, the run could be claimed or handed over, and the request be lost.
    waits = Run.status.in_(["queued", "paused"]) | Run.watched  # no worker here would hear of it
    asked = update_run(
        session,
        *(Run.id == run_id, Run.kind == kind, Run.status.not_in(FINAL_STATUSES), Run.cancel_requested.is_(False)),
        cancel_requested=True,
        status=case((waits, "cancelled"), else_=Run.status),
        finished_at=case((waits, now()), else_=Run.finished_at),
    )
    if asked is not None:
        events.note_status(session, asked)
    # After the run's own row, as at its end: who locks both in one order cannot deadlock.
    treatments = select(Run.treatment_id).where(Run.id == run_id, Run.cancel_requested)
    ended = session.scalars(
        update(Treatment)
        .where(Treatment.id.in_(treatments), Treatment.status == "running")
        .values(status="cancelled", reason="its try was cancelled", finished_at=now())
        .returning(Treatment),
        execution_options={"synchronize_session": False, "populate_existing": True},
    ).all()
    for treatment in ended:
        events.note_treatment(session, treatment)
