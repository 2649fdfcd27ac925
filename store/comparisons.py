"""Comparisons of two uploaded sets of samples: create, look up, list, cancel.

Each is a row of `runs` of its own kind, with one epoch of one step: a worker claims, loses and requeues it as any run.
"""

from sqlalchemy.orm import Session

from ganlib.records import EpochEvaluation
from ganlib.spec.comparison import ComparisonSpec
from ganlib.spec.hashing import spec_hash
from ganlib.wire.statuses import Status
from store.core.db import clock
from store.core.errors import ComparisonNotFound
from store.core.idempotency import made_with
from store.core.models import Run
from store.core.pages import Page, page_of
from store.runs.lifecycle import ask_to_stop, find, hash_request, insert, new_id
from store.runs.records import evaluations
from store.scheduling.owners import NOBODY_ELSE, Owner


def create(
    session: Session, spec: ComparisonSpec, *, owner: Owner = NOBODY_ELSE, idempotency_key: str | None = None
) -> Run:
    """A new queued comparison, or the one that the same request with the same idempotency key made.

    Raises:
        IdempotencyConflict: the key was used for another request.
    """
    run = Run(
        id=new_id(),
        kind="comparison",
        spec=spec.model_dump(mode="json"),
        spec_hash=spec_hash(spec),
        seed=spec.seed,
        status="queued",
        priority=0,
        **owner.columns,
        request_hash=hash_request(spec),
        created_at=clock(session),
        epochs_total=1,
        steps_per_epoch=1,
    )
    return insert(session, run, idempotency_key)


def made_before(session: Session, spec: ComparisonSpec, idempotency_key: str) -> Run | None:
    """The comparison that this request with this idempotency key made; None where the key is new.

    Raises:
        IdempotencyConflict: the key was used for another request.
    """
    return made_with(session, Run, idempotency_key, hash_request(spec))


def get(session: Session, comparison_id: str) -> Run:
    """The comparison of that id, as the database has it now.

    Raises:
        ComparisonNotFound: there is none.
    """
    run = find(session, comparison_id)
    if run is None or run.kind != "comparison":
        raise ComparisonNotFound(comparison_id)
    return run


def result(session: Session, comparison_id: str) -> EpochEvaluation | None:
    """What the comparison found; None before its success."""
    return next(iter(evaluations(session, comparison_id)), None)


def list_comparisons(
    session: Session, *, status: Status | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Run]:
    """The comparisons of that status, newest first; those made meanwhile shift no later page.

    Raises:
        InvalidCursor: the cursor was not made by this list.
    """
    filters: dict[str, str] = {} if status is None else {"status": status}
    return page_of(session, Run, kind="comparison", limit=limit, cursor=cursor, **filters)


def cancel(session: Session, comparison_id: str) -> Run:
    """The comparison after it was asked to stop, as `runs.cancel` does it.

    Raises:
        ComparisonNotFound: there is no such comparison.
    """
    ask_to_stop(session, "comparison", comparison_id)
    return get(session, comparison_id)
