"""Which stored files the database names."""

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.models import Artifact, Epoch, Run, Upload

MANY = 500  # values in one query: SQLite takes 32,766 parameters


def artifacts_in_use(session: Session, sha256s: Collection[str]) -> set[str]:
    """Those among the hashes that a run's picture or a comparison's samples have."""
    found: set[str] = set()
    for some in portions(sorted(sha256s)):
        found |= set(session.scalars(select(Artifact.sha256).where(Artifact.sha256.in_(some)).distinct()))
        for field in ("reals", "fakes"):
            sha256 = Run.spec[field].as_string()
            found |= set(session.scalars(select(sha256).where(Run.kind == "comparison", sha256.in_(some)).distinct()))
    return found


def uploads_in_use(session: Session) -> set[str]:
    """The hashes of every upload's files."""
    rows = session.execute(select(Upload.samples_sha256, Upload.labels_sha256))
    return {sha256 for row in rows for sha256 in row if sha256 is not None}


def checkpoints_in_use(session: Session) -> tuple[set[str], set[str]]:
    """The runs that are not over, whose own workers delete checkpoints; and `run/file` of every one that is named."""
    going_on = set(session.scalars(select(Run.id).where(Run.status.not_in(FINAL_STATUSES))))
    rows = session.execute(select(Epoch.run_id, Epoch.checkpoint).where(Epoch.checkpoint.is_not(None)))
    return going_on, {f"{run_id}/{name}" for run_id, name in rows}


def portions(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """As few lists of them as one query each can name."""
    return (items[start : start + MANY] for start in range(0, len(items), MANY))
