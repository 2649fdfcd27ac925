"""Copies the whole state into a directory, and back: `python -m store.backup [--restore] [--files-only] DIR`.

The database is copied as it is at one moment, and stored files after it: whatever the copy names is there then.
Trainings delete their older checkpoints, though, so that these are copied before it, too, and all of it again where the
newest one of a run that is not over has slipped through. A directory that holds a backup already is brought up to date;
files are never changed once they are stored, so that only new ones are copied.
"""

import argparse
import logging
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, func, inspect, make_url, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import make_engine, reading
from store.core.errors import BackupFailed, DatabaseUnavailable, DiskFull, FileMissing, StoreUnavailable
from store.core.models import Epoch, Run
from store.core.settings import Settings, child_environment, create_home
from store.files.backends import artifact_files, checkpoint_files, uploaded_files
from store.files.local import Files, LocalFiles, room_in

SQLITE_COPY, POSTGRES_COPY = "ganclinic.db", "database.dump"
ADDED = ("-wal", "-journal")
"""What SQLite adds to a database that lies beside files so named: changes to make, or to undo."""
COMPANIONS = (*ADDED, "-shm")
MOST_PASSES = 4  # over checkpoints and database; the first has the most to copy, and so takes longest
AREAS = {"checkpoints": checkpoint_files, "artifacts": artifact_files, "uploaded": uploaded_files}
"""In the order in which they are copied: what a training deletes first."""

logger = logging.getLogger(__name__)


def back_up(settings: Settings, directory: Path, *, files_only: bool = False) -> int:
    """Copies database and stored files into the directory, made where it is missing; how many files were new.

    Raises:
        BackupFailed: the database cannot be copied.
        DatabaseUnavailable: it does not answer.
        DiskFull: there is no room.
        StoreUnavailable: the store of files does not answer.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = 0 if files_only else _bring_database(settings, directory)
    return count + sum(_bring(settings, area, directory / area) for area in AREAS)


def restore(settings: Settings, directory: Path, *, files_only: bool = False) -> int:
    """Copies a backup into an empty database and the store of files; how many files.

    Raises:
        BackupFailed: there is no backup, or the database is not empty.
        DiskFull: there is no room.
        StoreUnavailable: the store of files does not answer.
    """
    create_home(settings.home)
    if not files_only:
        _restore_database(make_url(settings.database), directory)
    return sum(_copy(LocalFiles(directory / area), opened(settings)) for area, opened in AREAS.items())


def _bring_database(settings: Settings, directory: Path) -> int:
    """Copies it with the checkpoints that runs go on from by it; how many of these were new."""
    checkpoints = directory / "checkpoints"
    count, missing = 0, set[str]()
    for _ in range(MOST_PASSES):
        count += _bring(settings, "checkpoints", checkpoints)
        named = _copy_database(make_url(settings.database), directory)
        count += _bring(settings, "checkpoints", checkpoints)
        missing = {name for name in named if not LocalFiles(checkpoints).has(name)}
        if not missing:
            return count
    logger.warning(
        "not in the backup, because they are lost or trainings were faster: %s; their runs will go on from the "
        "checkpoints before",
        ", ".join(sorted(missing)),
    )
    return count


def _bring(settings: Settings, area: str, target: Path) -> int:
    if settings.store_url is None:
        return _copy(AREAS[area](settings), LocalFiles(target))
    count = 0
    # Copies of this machine are laid out as the bucket is: here, they are the backup.
    files = AREAS[area](settings, target)
    for entry in files.entries():
        path = files.local_path(entry.name)
        if not path.exists() or path.stat().st_size != entry.size:
            path.unlink(missing_ok=True)
            count += _fetch(files, entry.name)
    return count


def _fetch(files: Files, name: str) -> bool:
    try:
        files.fetch(name, None)
    except FileMissing:  # deleted meanwhile
        return False
    return True


def _copy(source: Files, target: Files) -> int:
    known = {entry.name: entry.size for entry in target.entries()}
    count = 0
    for entry in source.entries():
        if known.get(entry.name) == entry.size:
            continue
        try:
            with source.local_path(entry.name).open("rb") as file:
                target.put(entry.name, file)
        except FileNotFoundError:  # deleted meanwhile
            continue
        count += 1
    return count


# --- databases --------------------------------------------------------------------------------------------------


def _copy_database(url: URL, directory: Path) -> set[str]:
    """The checkpoints that runs go on from by the copy, as `run/file`."""
    if url.get_backend_name() == "sqlite":
        copy = directory / SQLITE_COPY
        _copy_sqlite(Path(str(url.database)), copy)
        engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(_unchanging(copy), uri=True))
        with _disposing(engine), Session(engine) as session:
            return _newest_checkpoints(session)
    _find_program("pg_dump")
    engine = make_engine(url.render_as_string(hide_password=False))
    with _part_of(directory / POSTGRES_COPY) as part, _disposing(engine), reading(engine) as session:
        moment = session.scalar(select(func.pg_export_snapshot()))
        named = _newest_checkpoints(session)
        _call_postgres("pg_dump", url, "--format=custom", f"--file={part}", f"--snapshot={moment}")
    return named


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """An empty file for its owner alone; it becomes the target, which appears whole, or goes where writing it fails.

    Raises:
        DiskFull: there is no room.
    """
    part = target.with_name(f".{target.name}.part")
    ours = [part, *_companions(part)]
    with room_in(target.parent):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _delete(ours)  # a backup that was killed may have left a journal, too, which SQLite would replay
        part.touch(mode=0o600)
        try:
            yield part
            _delete(_companions(target))  # of the copy before, which goes now
            part.replace(target)
        finally:
            _delete(ours)


def _delete(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


@contextmanager
def _disposing(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()


def _newest_checkpoints(session: Session) -> set[str]:
    if not inspect(session.connection()).has_table(Epoch.__tablename__):
        return set()
    goes_on = Epoch.run_id.in_(select(Run.id).where(Run.status.not_in(FINAL_STATUSES)))
    newest = (
        select(Epoch.run_id, func.max(Epoch.epoch).label("epoch"))
        .where(Epoch.checkpoint.is_not(None), goes_on)
        .group_by(Epoch.run_id)
        .subquery()
    )
    is_newest = (Epoch.run_id == newest.c.run_id) & (Epoch.epoch == newest.c.epoch)
    found = session.execute(select(Epoch.run_id, Epoch.checkpoint).join(newest, is_newest))
    return {f"{run_id}/{name}" for run_id, name in found}


def _restore_database(url: URL, directory: Path) -> None:
    name = SQLITE_COPY if url.get_backend_name() == "sqlite" else POSTGRES_COPY
    copy = directory / name
    if not copy.is_file():
        raise BackupFailed(f"there is no '{name}' in '{directory}', which a backup of such a database has")
    if url.get_backend_name() == "sqlite":
        _require_alone(copy)
        target = Path(str(url.database))
        if target.exists():
            raise BackupFailed(f"the database '{target}' is there already; move it away first")
        _require_no_companions(target)
        _copy_sqlite(copy, target, address=_unchanging(copy))
        return
    engine = make_engine(url.render_as_string(hide_password=False))
    with _disposing(engine):
        _require_empty(engine)
    _call_postgres("pg_restore", url, "--exit-on-error", "--single-transaction", "--no-owner", str(copy))


def _require_empty(engine: Engine) -> None:
    try:
        tables = inspect(engine).get_table_names()
    except OperationalError as error:
        raise BackupFailed(f"the database does not answer: {error}") from None
    if tables:
        raise BackupFailed("the database has tables already; give an empty one")


def _require_no_companions(target: Path) -> None:
    """Returns where nothing is left of a database that was at `target` before.

    SQLite would replay what such files hold into the one that is restored beside them, and find it in order.
    """
    left = [str(path) for path in _companions(target) if path.exists()]
    if left:
        raise BackupFailed(
            f"there is no database '{target}', and still {_listed(left)} of the one that was there; SQLite would add "
            "what is in them to the restored one. Move them away first, to where that database is now: they may hold "
            "its last changes"
        )


def _require_alone(copy: Path) -> None:
    """Returns where nothing beside the copy would be added to it: a backup is one file."""
    added = [str(path) for path in _companions(copy, ADDED) if path.exists() and path.stat().st_size > 0]
    if added:
        raise BackupFailed(
            f"beside '{copy}' there is {_listed(added)}, which no backup has: somebody has opened the copy and written "
            "to it, or copied a database that was in use. Move it away to restore what was backed up"
        )


def _companions(database: Path, endings: Sequence[str] = COMPANIONS) -> list[Path]:
    return [database.with_name(f"{database.name}{ending}") for ending in endings]


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(f"'{path}'" for path in paths)


def _unchanging(copy: Path) -> str:
    """As SQLite reads what nobody writes to. It makes no file beside it, as it cannot where it only reads."""
    return f"{copy.as_uri()}?immutable=1"


def _copy_sqlite(source: Path, target: Path, *, address: str | None = None) -> None:
    """With SQLite's online backup, which sees one moment and lets others write; the target appears whole.

    `address`: by which SQLite reads the source; by default as one that is written to meanwhile.
    """
    if not source.is_file():
        raise BackupFailed(f"there is no database '{source}'")
    if target.exists() and target.samefile(source):  # its copy would take the place of what the service writes to
        raise BackupFailed(f"'{source}' is the database itself; back up to another directory")
    with _part_of(target) as part:
        try:
            opened = sqlite3.connect(source) if address is None else sqlite3.connect(address, uri=True)
            with closing(opened) as read, closing(sqlite3.connect(part)) as written:
                read.backup(written)
        except sqlite3.DatabaseError as error:  # SQLite cannot read or write, or the source is damaged
            raise BackupFailed(f"'{source}' cannot be copied to '{target}': {error}") from None


def _find_program(name: str) -> str:
    """Where one of PostgreSQL's own programs is.

    Raises:
        BackupFailed: it is not on the path.
    """
    found = shutil.which(name)
    if found is None:
        raise BackupFailed(
            f"there is no {name} here; install PostgreSQL's client programs of the server's version, or copy the "
            "database where they are, and say --files-only here"
        )
    return found


def _call_postgres(name: str, url: URL, *arguments: str) -> None:
    """Calls such a program for the database; its password goes where other users cannot see it."""
    program = _find_program(name)
    given = url.normalized_query.get("password", () if url.password is None else (url.password,))
    password = {"PGPASSWORD": given[-1]} if given else {}
    query = url.difference_update_query(["password"]).query
    address = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query).render_as_string()
    called = subprocess.run(
        [program, f"--dbname={address}", *arguments],
        env=child_environment(**password),
        capture_output=True,
        text=True,
        check=False,
    )
    if called.returncode != 0:
        raise BackupFailed(f"{name} failed: {called.stderr.strip()}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when everything is copied, else 1."""
    parser = argparse.ArgumentParser(prog="python -m store.backup", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="directory of the backup")
    parser.add_argument("--restore", action="store_true", help="copy from DIR into an empty database and home")
    parser.add_argument("--files-only", action="store_true", help="leave the database alone: you copy it yourself")
    arguments = parser.parse_args(argv)
    directory: Path = arguments.directory.expanduser().absolute()
    work = restore if arguments.restore else back_up
    try:
        count = work(Settings(), directory, files_only=arguments.files_only)
    except (BackupFailed, DatabaseUnavailable, DiskFull, StoreUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    words = f"restored from {directory}" if arguments.restore else f"backed up to {directory}"
    sys.stdout.write(f"{words}: {count} files copied\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
