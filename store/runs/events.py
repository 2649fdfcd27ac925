"""Events: what has changed in a run, stored in the transaction that changes it. Written here, and read.

An event gets its position while its transaction holds the lock of the run's row. The next one of the same run waits for
that lock, so that of one run's events the later has the higher position, and whoever has read one finds every other
above it. Over several runs that is not so: see `event_watch`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import Session

from ganlib.diagnosis.verdict import Diagnosis
from ganlib.wire.statuses import EventKind
from store.core.db import HAS_NEWS, now
from store.core.models import EventRow, Kind, Run, Treatment
from store.runs import deliveries


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event, and where it belongs."""

    position: int
    run_id: str
    batch_id: str | None
    of: Kind
    """What kind of run it is of."""
    kind: EventKind
    changed: dict[str, Any]
    at: float


# --- writing: each of these after the run's row was written, in the same transaction ------------------------------


def note_status(session: Session, *runs: Run) -> None:
    """Status, attempt or what is asked of the runs has changed."""
    session.flush()  # a new run's row comes first, and its columns have their defaults then
    _note(session, [_row(run.id, "status", **_status(run)) for run in runs])


def note_epoch(session: Session, run_id: str, attempt: int, diagnosis: Diagnosis) -> None:
    """An epoch was recorded, with that diagnosis after it."""
    epoch = diagnosis.epoch
    seen = [f for f in diagnosis.findings if f.first_epoch == epoch]
    over = [e for e in diagnosis.recovered if e.last_epoch == epoch - 1]
    rows = [
        _row(run_id, "epoch", epoch=epoch, attempt=attempt),
        *(_row(run_id, "finding seen", epoch=epoch, finding=f.name, severity=f.severity) for f in seen),
        *(_row(run_id, "finding over", epoch=epoch, finding=e.name) for e in over),
    ]
    _note(session, rows)


def note_treatment(session: Session, treatment: Treatment, try_id: str | None = None) -> None:
    """The treatment has made that try, or has ended. Locks the sick run's row, after that of the try."""
    session.execute(select(Run.id).where(Run.id == treatment.run_id).with_for_update(key_share=True))
    made = {} if try_id is None else {"try_id": try_id}
    changed = {"treatment_id": treatment.id, "treatment_status": treatment.status, **made}
    _note(session, [_row(treatment.run_id, "treatment", **changed)])


def _status(run: Run) -> dict[str, Any]:
    return {
        "status": run.status,
        "attempt": run.attempt,
        "cancel_requested": run.cancel_requested,
        "pause_requested": run.pause_requested,
    }


def _row(run_id: str, kind: EventKind, **changed: Any) -> dict[str, Any]:
    return {"run_id": run_id, "kind": kind, "changed": changed}


def _note(session: Session, rows: list[dict[str, Any]]) -> None:
    if rows:
        session.execute(insert(EventRow).values(at=now()), rows)
        session.info[HAS_NEWS] = True
        deliveries.queue(session, rows)


# --- reading ------------------------------------------------------------------------------------------------------


def selected() -> Select[Any]:
    """Every event, as `from_rows` takes them."""
    return (
        select(EventRow.position, EventRow.run_id, Run.batch_id, Run.kind.label("of"))
        .add_columns(EventRow.kind, EventRow.changed, EventRow.at)
        .join(Run, Run.id == EventRow.run_id)
        .order_by(EventRow.position)
    )


def from_rows(session: Session, query: Select[Any]) -> list[StoredEvent]:
    """The events that the query selects."""
    return [StoredEvent(**row) for row in session.execute(query).mappings()]


def last_position(session: Session) -> int:
    """The highest position that is there; 0 where there is none."""
    return session.scalar(select(func.max(EventRow.position))) or 0


def read(
    session: Session,
    *,
    after: int,
    limit: int,
    up_to: int | None = None,
    run_id: str | None = None,
    batch_id: str | None = None,
    kinds: Sequence[EventKind] = (),
) -> list[StoredEvent]:
    """The first events of trainings behind a position, in their order: of a run, of a batch's runs, or of all.

    Over several runs only positions up to what `event_watch` gives are complete.
    """
    query = selected().where(EventRow.position > after, Run.kind == "training").limit(limit)
    if up_to is not None:
        query = query.where(EventRow.position <= up_to)
    if run_id is not None:
        query = query.where(EventRow.run_id == run_id)
    if batch_id is not None:
        query = query.where(Run.batch_id == batch_id)
    if kinds:
        query = query.where(EventRow.kind.in_(kinds))
    return from_rows(session, query)
