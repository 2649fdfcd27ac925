"""Labels: what people say of verdicts. They are added and read, and never changed."""

from collections.abc import Sequence

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ganlib.diagnosis.verdict import Diagnosis
from ganlib.wire.annotations import LabelRequest
from store.core.db import clock
from store.core.errors import RunNotFound
from store.core.idempotency import insert_once
from store.core.models import Annotation, Run
from store.core.pages import Page, page_of
from store.runs.lifecycle import hash_request, new_id


class _OfRun(BaseModel):
    run_id: str


def add(
    session: Session,
    run_id: str,
    request: LabelRequest,
    diagnosis: Diagnosis,
    *,
    idempotency_key: str | None = None,
) -> Annotation:
    """A new label of that run, beside what `diagnosis` said; or the one that the same request with the same key made.

    Raises:
        IdempotencyConflict: the key was used for another request.
        RunNotFound: the run was deleted meanwhile.
    """
    label = Annotation(
        id=new_id(),
        run_id=run_id,
        **request.model_dump(),
        ruleset=diagnosis.ruleset,
        verdict=diagnosis.verdict,
        request_hash=hash_request(_OfRun(run_id=run_id), request),
        created_at=clock(session),
    )
    try:
        with session.begin_nested():
            stored, _ = insert_once(session, label, idempotency_key)
    except IntegrityError:
        if session.get(Run, run_id, populate_existing=True) is None:
            raise RunNotFound(run_id) from None
        raise
    return stored


def of_run(session: Session, run_id: str) -> list[Annotation]:
    """Every label of the run, newest first."""
    query = select(Annotation).where(Annotation.run_id == run_id)
    return list(session.scalars(query.order_by(Annotation.created_at.desc(), Annotation.id.desc())))


def list_labels(session: Session, *, limit: int = 50, cursor: str | None = None) -> Page[Annotation]:
    """All labels, newest first; those made meanwhile shift no later page.

    Raises:
        InvalidCursor: the cursor was not made by this list.
    """
    return page_of(session, Annotation, limit=limit, cursor=cursor)


def with_runs(session: Session) -> Sequence[tuple[Annotation, Run]]:
    """All labels with their runs, oldest first."""
    query = (
        select(Annotation, Run).join(Run, Run.id == Annotation.run_id).order_by(Annotation.created_at, Annotation.id)
    )
    return [(label, run) for label, run in session.execute(query)]
