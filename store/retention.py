"""Deletes what has expired, and stored files that no row names: `python -m store.retention [--dry-run]`.

A file is listed first and looked for in the database afterwards, and goes only if it was put before a grace period:
whoever stores one puts it, or has its time renewed, before the row that names it is written. Only what is named as this
service names its files is ever deleted. A home, and a prefix of a bucket, belong to one database: the files of another
are named alike, and no row of this one names them.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import make_engine, now, require_migrated, transaction
from store.core.errors import DatabaseNotMigrated, DatabaseUnavailable, StoreUnavailable
from store.core.models import Artifact, Epoch, Run, Treatment
from store.core.settings import Settings
from store.files.artifacts import hash_of
from store.files.backends import artifact_files, checkpoint_files, uploaded_files
from store.files.local import StoredFile
from store.files.references import artifacts_in_use, checkpoints_in_use, uploads_in_use
from store.runs.deletion import delete_rows
from store.runs.lifecycle import RUN_ID

DAY_S = 86_400
HASHED = re.compile("[0-9a-f]{2}/[0-9a-f]{62}")
CHECKPOINT = re.compile(rf"{RUN_ID.pattern}/attempt-\d+-epoch-\d+\.safetensors")
LOG = re.compile(rf"{RUN_ID.pattern}\.\d+\.log(\.1)?")
RUNS_AT_ONCE = 10_000  # whose checkpoints expire; SQLite takes 32,766 parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What was deleted, or would be."""

    pictures: int
    """That expired: rows, whose files may belong to other runs, too."""
    checkpoints: int
    """That expired, likewise."""
    comparisons: int
    """That expired."""
    files: int
    """That no row names."""
    size: int
    """Of these, in bytes."""

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures, {self.checkpoints} checkpoints and {self.comparisons} evaluations of uploaded "
            f"samples expired; {self.files} files of together {self.size / 1e6:.1f} MB that no row names"
        )


def collect(engine: Engine, settings: Settings, *, dry_run: bool = False) -> Deleted:
    """Deletes what has expired, what no row names, and logs of deleted runs; with `dry_run`, only says what would go.

    Raises:
        DatabaseUnavailable: the database does not answer.
        StoreUnavailable: the store of files does not answer. What is left goes another time.
    """
    before = time.time() - settings.retention_grace.total_seconds()
    areas = (artifact_files(settings), uploaded_files(settings), checkpoint_files(settings))
    names = (HASHED, HASHED, CHECKPOINT)
    artifacts, uploads, checkpoints = (
        _older(files.entries(), before, ours) for files, ours in zip(areas, names, strict=True)
    )
    with transaction(engine) as session:
        pictures = _expire_pictures(session, settings.retention_samples_days)
        expired = _expire_checkpoints(session, settings.retention_checkpoints_days)
        comparisons = _expire_comparisons(session, settings.retention_comparisons_days)
        kept = artifacts_in_use(session, {hash_of(name) for name in artifacts})
        kept_uploads = uploads_in_use(session)
        going_on, named = checkpoints_in_use(session)
        logs = _logs_of_no_run(session, settings.logs, before)
        if dry_run:
            session.rollback()
    unnamed = (
        [file for name, file in artifacts.items() if hash_of(name) not in kept],
        [file for name, file in uploads.items() if hash_of(name) not in kept_uploads],
        [file for name, file in checkpoints.items() if name not in named and name.partition("/")[0] not in going_on],
    )
    gone = [
        file
        for files, old in zip(areas, unnamed, strict=True)
        for file in old
        if dry_run or files.discard(file.name, before)
    ]
    if not dry_run:
        for files, ours in zip(areas, names, strict=True):
            files.sweep(before, going_on, ours)
        for path in logs:
            path.unlink(missing_ok=True)
    return Deleted(
        pictures=pictures,
        checkpoints=expired,
        comparisons=comparisons,
        files=len(gone),
        size=sum(file.size for file in gone),
    )


def _older(files: Iterable[StoredFile], before: float, ours: re.Pattern[str]) -> dict[str, StoredFile]:
    """What is named as our files are: whatever else somebody has put beside them is not ours to delete."""
    return {file.name: file for file in files if file.modified_at < before and ours.fullmatch(file.name)}


def _logs_of_no_run(session: Session, folder: Path, before: float) -> list[Path]:
    """This machine's log files of runs that were deleted."""
    by_run: dict[str, list[Path]] = {}
    for path in folder.glob("*.log*"):
        with suppress(FileNotFoundError):  # rotated meanwhile
            if LOG.fullmatch(path.name) and path.stat().st_mtime < before:
                by_run.setdefault(path.name.partition(".")[0], []).append(path)
    known = set(session.scalars(select(Run.id))) if by_run else set[str]()
    return [path for run_id, paths in by_run.items() if run_id not in known for path in paths]


def _expire_pictures(session: Session, days: float | None) -> int:
    """Forgets the pictures of old epochs of runs that are over, but for each run's last of a kind; how many."""
    if days is None:
        return 0
    newer = aliased(Artifact)
    has_newer = exists().where(
        newer.run_id == Artifact.run_id, newer.kind == Artifact.kind, newer.epoch > Artifact.epoch
    )
    is_over = Epoch.run_id.in_(select(Run.id).where(Run.status.in_(FINAL_STATUSES)))
    found = select(Epoch.run_id, Epoch.epoch).where(is_over, Epoch.recorded_at < now() - days * DAY_S).subquery()
    expired = delete(Artifact).where(
        Artifact.kind != "reals",  # of the first epoch, beside which the last one's are seen
        select(found.c.run_id).where(found.c.run_id == Artifact.run_id, found.c.epoch == Artifact.epoch).exists(),
        has_newer,
    )
    return len(session.execute(expired.returning(Artifact.epoch)).all())


def _expire_checkpoints(session: Session, days: float | None) -> int:
    """Forgets the checkpoints of runs that have been over for long, unless one may still be begun with; how many."""
    if days is None:
        return 0
    warm = Run.warm_start["run_id"].as_string()
    begun_with = select(warm).where(Run.status.not_in(FINAL_STATUSES), Run.warm_start.is_not(None))
    treated = select(Treatment.run_id).where(Treatment.status == "running")
    tries = select(Run.id).where(Run.treatment_id.in_(select(Treatment.id).where(Treatment.status == "running")))
    old = select(Run.id).where(
        Run.status.in_(FINAL_STATUSES),
        Run.finished_at < now() - days * DAY_S,
        Run.id.not_in(begun_with),
        Run.id.not_in(treated),
        Run.id.not_in(tries),
        select(Epoch.run_id).where(Epoch.run_id == Run.id, Epoch.checkpoint.is_not(None)).exists(),
    )
    # Locked, so that none is extended meanwhile; who holds one is about to, and it is looked at another time.
    expired = session.scalars(old.limit(RUNS_AT_ONCE).with_for_update(skip_locked=True)).all()
    forgotten = (
        update(Epoch)
        .where(Epoch.run_id.in_(expired), Epoch.checkpoint.is_not(None))
        .values(checkpoint=None, checkpoint_sha256=None)
        .returning(Epoch.epoch)
        .execution_options(synchronize_session=False)
    )
    return len(session.execute(forgotten).all())


def _expire_comparisons(session: Session, days: float | None) -> int:
    """Deletes the comparisons that have been over for long, with what they found; how many.

    Their samples are then named by no row. None goes within a day, while a quota of device hours may count it.
    """
    if days is None:
        return 0
    old = select(Run.id).where(
        Run.kind == "comparison", Run.status.in_(FINAL_STATUSES), Run.finished_at < now() - days * DAY_S
    )
    expired = session.scalars(old.limit(RUNS_AT_ONCE).with_for_update(skip_locked=True)).all()
    delete_rows(session, expired)
    return len(expired)


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when everything that may go is gone, 1 when a server did not answer."""
    parser = argparse.ArgumentParser(prog="python -m store.retention", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    dry_run: bool = parser.parse_args(argv).dry_run
    settings = Settings()
    engine = make_engine(settings.database)
    try:
        require_migrated(engine)
        collected = collect(engine, settings, dry_run=dry_run)
    except (DatabaseNotMigrated, DatabaseUnavailable, StoreUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        engine.dispose()
    sys.stdout.write(f"{'would go' if dry_run else 'gone'}: {collected}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
