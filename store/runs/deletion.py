"""Deletes a run or comparison that is over, with all that it recorded. Its files go later: see `delete_files_of`."""

import time
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Table, delete, func, or_, select, update
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.errors import ComparisonNotFound, RunInUse, RunNotFound
from store.core.models import Annotation, Artifact, Base, Kind, Run, Treatment, WatchRow
from store.files.artifacts import Artifacts
from store.files.local import Files
from store.files.references import artifacts_in_use, portions
from store.scheduling import quotas
from store.scheduling.accounts import EQUAL, Sharing

RECORDS: list[Table] = [
    table
    for table in reversed(Base.metadata.sorted_tables)
    if "run_id" in table.columns and table is not Treatment.__table__
]
"""The tables whose rows belong to one run."""


def delete_run(session: Session, run_id: str, *, with_labels: bool = False, sharing: Sharing = EQUAL) -> frozenset[str]:
    """Deletes the training with its records; the hashes of its artifacts, which other runs may have, too.

    Its treatments go with it once their tries are deleted. A batch keeps its other runs.

    Raises:
        RunNotFound: there is no such run.
        RunInUse: it is not over, a remedy made another run of it, a treatment goes on with it, a quota of device hours
            counts it, or people's labels would be lost and `with_labels` does not say that they may.
    """
    if not _lock(session, "training", run_id):
        raise RunNotFound(run_id)
    if (reason := _needed_for(session, run_id, with_labels=with_labels, sharing=sharing)) is not None:
        raise RunInUse(run_id, reason)
    session.execute(delete(Treatment).where(Treatment.run_id == run_id).execution_options(synchronize_session=False))
    session.execute(
        update(Treatment)
        .where(Treatment.best_run_id == run_id)
        .values(best_run_id=None)
        .execution_options(synchronize_session=False)
    )
    looks = select(Run.id).join(WatchRow, WatchRow.look_id == Run.id).where(WatchRow.run_id == run_id)
    return delete_rows(session, [*session.scalars(looks), run_id])


def delete_comparison(session: Session, comparison_id: str, *, sharing: Sharing = EQUAL) -> frozenset[str]:
    """Deletes the comparison with what it found; the hashes of its samples and pictures, which others may have, too.

    Raises:
        ComparisonNotFound: there is no such comparison.
        RunInUse: it is not over, or a quota of device hours counts it.
    """
    if not _lock(session, "comparison", comparison_id):
        raise ComparisonNotFound(comparison_id)
    run = session.get_one(Run, comparison_id, populate_existing=True)
    if (reason := _not_over(run) or _counted(session, run, sharing)) is not None:
        raise RunInUse(comparison_id, reason, what="evaluation")
    samples = {run.spec["reals"], run.spec["fakes"]}
    return delete_rows(session, [comparison_id]) | samples


def delete_rows(session: Session, run_ids: Sequence[str]) -> frozenset[str]:
    """Deletes what they have recorded and themselves; the hashes of their pictures."""
    artifacts: set[str] = set()
    for some in portions(run_ids):
        artifacts |= set(session.scalars(select(Artifact.sha256).where(Artifact.run_id.in_(some))))
        for table in RECORDS:
            session.execute(delete(table).where(table.c.run_id.in_(some)))
        session.execute(delete(Run).where(Run.id.in_(some)).execution_options(synchronize_session=False))
    session.expire_all()
    return frozenset(artifacts)


def _lock(session: Session, kind: Kind, run_id: str) -> bool:
    """Keeps everybody from adding to the run, for whoever refers to its row waits; whether there is one."""
    query = select(Run.id).where(Run.id == run_id, Run.kind == kind).with_for_update()
    return session.scalars(query).one_or_none() is not None


def _not_over(run: Run) -> str | None:
    if run.status in FINAL_STATUSES:
        return None
    return f"it is {run.status}; cancel it first, or wait for its end"


def _counted(session: Session, run: Run, sharing: Sharing) -> str | None:
    if (whose := quotas.counts_hours_of(session, run, sharing)) is None:
        return None
    return f"the quota device_hours of {whose} counts it; wait for 24 h after its end, or ask an administrator"


def _needed_for(session: Session, run_id: str, *, with_labels: bool, sharing: Sharing) -> str | None:
    """Why the run cannot be deleted; None where it can."""
    run = session.get_one(Run, run_id, populate_existing=True)
    if (reason := _not_over(run)) is not None:
        return reason
    looked = select(Run.id).join(WatchRow, WatchRow.look_id == Run.id)
    if session.scalars(looked.where(WatchRow.run_id == run_id, Run.status == "running")).first() is not None:
        return "a worker looks at its last epoch still; try again in a few seconds"
    mine = Treatment.run_id == run_id
    running = select(Treatment.id).where(or_(mine, Treatment.id == run.treatment_id), Treatment.status == "running")
    if (treatment := session.scalars(running.limit(1)).one_or_none()) is not None:
        return f"the treatment '{treatment}' goes on with it; wait for its end, or cancel its try"
    tries = Run.treatment_id.in_(select(Treatment.id).where(mine))
    children = session.scalars(select(Run.id).where(or_(Run.parent_id == run_id, tries), Run.id != run_id)).all()
    if children:
        return f"remedies made of it {_list(children)}; delete {'it' if len(children) == 1 else 'them'} first"
    if (reason := _counted(session, run, sharing)) is not None:
        return reason
    labels = session.scalars(select(func.count()).select_from(Annotation).where(Annotation.run_id == run_id)).one()
    if labels and not with_labels:
        words = "label" if labels == 1 else "labels"
        return f"it has {labels} {words}, which would be lost; to delete them too, say with_labels=true"
    return None


def _list(run_ids: Sequence[str]) -> str:
    first = ", ".join(f"'{run_id}'" for run_id in run_ids[:3])
    return first if len(run_ids) <= 3 else f"{first} and {len(run_ids) - 3} more"


def artifacts_of_nobody(session: Session, sha256s: frozenset[str]) -> frozenset[str]:
    """Those among the hashes of what is deleted that no other row names."""
    return sha256s - artifacts_in_use(session, sha256s)


def delete_files_of(
    run_id: str,
    sha256s: frozenset[str],
    *,
    artifacts: Artifacts,
    checkpoints: Files,
    grace: timedelta,
) -> None:
    """Deletes the checkpoints of what is deleted, and these artifacts, which are nobody's: see `artifacts_of_nobody`.

    An artifact that was put within `grace` may be somebody's whose row is not there yet, or was not when that was
    looked up: it is left to `store.retention`.

    Raises:
        StoreUnavailable: the store does not answer; `store.retention` will delete what is left.
    """
    before = time.time() - grace.total_seconds()
    for entry in list(checkpoints.entries(run_id)):
        checkpoints.delete(entry.name)
    for sha256 in sha256s:
        artifacts.discard(sha256, before)
