"""Tags of runs: kept with each run to be shown, and as rows of their own to be found by."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.orm import Session

from store.core.models import Run, RunTagRow


def note_new(session: Session, runs: Iterable[Run]) -> None:
    """Stores the tags of runs that were made in this transaction."""
    if rows := [{"run_id": run.id, "tag": tag} for run in runs for tag in run.tags]:
        session.execute(insert(RunTagRow), rows)


def change(session: Session, run: Run, tags: Sequence[str]) -> None:
    """Gives the run these tags instead of those that it has. Its row has to be locked."""
    session.execute(delete(RunTagRow).where(RunTagRow.run_id == run.id))
    run.tags = list(tags)
    session.flush()
    note_new(session, [run])


def has(tag: str) -> ColumnElement[bool]:
    """Of a run: whether it has the tag."""
    return Run.id.in_(select(RunTagRow.run_id).where(RunTagRow.tag == tag))
