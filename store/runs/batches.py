"""Batches: many runs created in one call, all of them or none."""

from collections.abc import Sequence

from pydantic import BaseModel
from sqlalchemy.orm import Session, selectinload

from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from store.core.db import clock
from store.core.errors import BatchNotFound
from store.core.idempotency import insert_once
from store.core.models import Batch
from store.runs import events, tags
from store.runs.lifecycle import hash_request, new_id, new_run
from store.scheduling.owners import NOBODY_ELSE, Owner, ensure


class _BatchName(BaseModel):
    name: str | None


def create_batch(
    session: Session,
    requests: Sequence[tuple[RunRequest, RunSpec]],
    *,
    name: str | None = None,
    priority: int | None = None,
    owner: Owner = NOBODY_ELSE,
    idempotency_key: str | None = None,
) -> Batch:
    """A new batch of queued runs, or the batch that the same requests with the same idempotency key made.

    The runs keep the order of the requests, also in the queue. `priority` counts instead of theirs where it is given.

    Raises:
        IdempotencyConflict: the key was used for other requests.
    """
    ensure(session, owner)
    created_at = clock(session)
    batch = Batch(
        id=new_id(),
        name=name,
        request_hash=hash_request(_BatchName(name=name), *(request for request, _ in requests)),
        created_at=created_at,
    )
    batch.runs = [new_run(request, spec, priority=priority, owner=owner) for request, spec in requests]
    # Runs of a batch are as old as each other: rising ids keep their order wherever runs are sorted by age.
    for run, run_id in zip(batch.runs, sorted(run.id for run in batch.runs), strict=True):
        run.id, run.created_at = run_id, created_at
    stored, is_new = insert_once(session, batch, idempotency_key)
    if not is_new:
        return get_batch(session, stored.id)
    events.note_status(session, *batch.runs)
    tags.note_new(session, batch.runs)
    return batch


def require(session: Session, batch_id: str) -> None:
    """Returns where there is a batch of that id.

    Raises:
        BatchNotFound: there is none.
    """
    if session.get(Batch, batch_id) is None:
        raise BatchNotFound(batch_id)


def get_batch(session: Session, batch_id: str) -> Batch:
    """The batch of that id, with its runs.

    Raises:
        BatchNotFound: there is none.
    """
    batch = session.get(Batch, batch_id, options=[selectinload(Batch.runs)], populate_existing=True)
    if batch is None:
        raise BatchNotFound(batch_id)
    return batch
