"""Copies the whole state into a directory, and back: `python -m store.backup [--restore] [--files-only] DIR`.

The database comes first, as it is at one moment, and stored files after it: whatever the copy names is there then,
unless it was deleted meanwhile. A directory that holds a backup already is brought up to date; files are never changed
once they are stored, so that only new ones are copied.
"""

import argparse
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, Engine, inspect, make_url
from sqlalchemy.exc import OperationalError

from store.db import make_engine
from store.errors import BackupFailed, DatabaseUnavailable, DiskFull, FileMissing, StoreUnavailable
from store.files import Files, LocalFiles, room_in
from store.places import artifact_files, checkpoint_files, uploaded_files
from store.settings import Settings, child_environment, create_home

SQLITE_COPY, POSTGRES_COPY = "ganclinic.db", "database.dump"
AREAS = {"artifacts": artifact_files, "uploaded": uploaded_files, "checkpoints": checkpoint_files}


def back_up(settings: Settings, directory: Path, *, files_only: bool = False) -> int:
    """Copies database and stored files into the directory, made where it is missing; how many files were new.

    Raises:
        BackupFailed: the database cannot be copied.
        DiskFull: there is no room.
        StoreUnavailable: the store of files does not answer.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not files_only:
        _copy_database(make_url(settings.database), directory)
    return sum(_bring(settings, area, directory / area) for area in AREAS)


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


def _copy_database(url: URL, directory: Path) -> None:
    if url.get_backend_name() == "sqlite":
        _copy_sqlite(Path(str(url.database)), directory / SQLITE_COPY)
        return
    part = directory / f".{POSTGRES_COPY}.part"
    _call_postgres("pg_dump", url, "--format=custom", f"--file={part}")
    part.replace(directory / POSTGRES_COPY)


def _restore_database(url: URL, directory: Path) -> None:
    name = SQLITE_COPY if url.get_backend_name() == "sqlite" else POSTGRES_COPY
    copy = directory / name
    if not copy.is_file():
        raise BackupFailed(f"there is no '{name}' in '{directory}', which a backup of such a database has")
    if url.get_backend_name() == "sqlite":
        target = Path(str(url.database))
        if target.exists():
            raise BackupFailed(f"the database '{target}' is there already; move it away first")
        _copy_sqlite(copy, target)
        return
    engine = make_engine(url.render_as_string(hide_password=False))
    try:
        _require_empty(engine)
    finally:
        engine.dispose()
    _call_postgres("pg_restore", url, "--exit-on-error", "--single-transaction", "--no-owner", str(copy))


def _require_empty(engine: Engine) -> None:
    try:
        tables = inspect(engine).get_table_names()
    except OperationalError as error:
        raise BackupFailed(f"the database does not answer: {error}") from None
    if tables:
        raise BackupFailed("the database has tables already; give an empty one")


def _copy_sqlite(source: Path, target: Path) -> None:
    """With SQLite's online backup, which sees one moment and lets others write; the target appears whole."""
    if not source.is_file():
        raise BackupFailed(f"there is no database '{source}'")
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    with room_in(target.parent):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(part)) as written:
                read.backup(written)
        except sqlite3.OperationalError as error:
            part.unlink(missing_ok=True)
            raise BackupFailed(f"'{source}' cannot be copied to '{target}': {error}") from None
        part.chmod(0o600)
        part.replace(target)


def _call_postgres(program: str, url: URL, *arguments: str) -> None:
    """Calls one of PostgreSQL's own programs for the database; its password goes where other users cannot see it."""
    found = shutil.which(program)
    if found is None:
        raise BackupFailed(
            f"there is no {program} here; install PostgreSQL's client programs of the server's version, or copy the "
            "database where they are, and say --files-only here"
        )
    address = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    password = {} if url.password is None else {"PGPASSWORD": url.password}
    called = subprocess.run(
        [found, f"--dbname={address}", *arguments],
        env=child_environment(**password),
        capture_output=True,
        text=True,
        check=False,
    )
    if called.returncode != 0:
        raise BackupFailed(f"{program} failed: {called.stderr.strip()}")


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
