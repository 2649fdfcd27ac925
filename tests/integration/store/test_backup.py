"""A backup gives back the same runs, verdicts and pictures."""

import io
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, make_url

from store import backup
from store.backup import back_up, restore
from store.core.db import make_engine, reading, transaction, upgrade
from store.core.errors import BackupFailed
from store.core.settings import Settings
from store.files.backends import checkpoint_files
from store.runs import recording, records
from tests.support.api import Service, make_service, record
from tests.support.images import CHECKOUT
from tests.support.servers import PostgresServer, S3Server
from tests.support.store import claim_run, epoch_record
from tests.support.uploads import create_upload

NOBODY = 65_534  # a user without files


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinic:
    """A database and a home."""

    engine: Engine
    settings: Settings

    def service(self) -> Service:
        places = ("store_url", "s3_endpoint", "s3_access_key", "s3_secret_key", "database_url")
        return make_service(self.engine, self.settings.home, **{name: getattr(self.settings, name) for name in places})


def make_clinic(home: Path, database_url: str, *, is_empty: bool = False, **settings: Any) -> Clinic:
    engine = make_engine(database_url)
    if not is_empty:
        upgrade(engine)
    return Clinic(engine=engine, settings=Settings(home=home, database_url=database_url, **settings))


@pytest.fixture
def urls(request: pytest.FixtureRequest, postgres_server: PostgresServer, tmp_path: Path) -> Iterator[list[str]]:
    """Two databases of one kind."""
    if request.param == "sqlite":
        yield [f"sqlite:///{tmp_path / name}.db" for name in ("first", "second")]
        return
    with postgres_server.database() as first, postgres_server.database() as second:
        yield [first, second]


@pytest.fixture
def postgres_programs(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump and pg_restore on the path."""
    monkeypatch.setenv("PATH", f"{postgres_server.binaries}:{os.environ['PATH']}")


def everything(clinic: Clinic) -> dict[str, Any]:
    """What the API shows."""
    client = clinic.service().client
    found: dict[str, Any] = {"uploads": client.get("/v1/uploads").json()}
    for run in client.get("/v1/runs").json()["items"]:
        path = f"/v1/runs/{run['id']}"
        names = ("", "/series", "/diagnosis", "/diagnosis/history", "/evaluations", "/samples", "/ndb")
        found |= {path + name: client.get(path + name).json() for name in names}
        pictures = (f"{path}/samples/1", f"{path}/figures/ndb.png")
        found |= {picture: client.get(picture).content for picture in pictures}
    checkpoints = checkpoint_files(clinic.settings)
    found |= {entry.name: checkpoints.read(entry.name) for entry in checkpoints.entries()}
    return found


def fill(clinic: Clinic) -> None:
    recorded = record(clinic.service(), 2)
    path = checkpoint_files(clinic.settings).local_path(f"{recorded.id}/attempt-1-epoch-2.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"state")
    checkpoint_files(clinic.settings).publish(f"{recorded.id}/attempt-1-epoch-2.safetensors")


class Training:
    """A run in training, which keeps its two newest checkpoints."""

    def __init__(self, clinic: Clinic) -> None:
        self._engine, self._files = clinic.engine, checkpoint_files(clinic.settings)
        with transaction(self._engine) as session:
            self._claim = claim_run(session)
        self._epoch = 0
        self.run_id = self._claim.run_id

    def record(self, num_epochs: int) -> None:
        for _ in range(num_epochs):
            self._epoch += 1
            self._files.put(self._name(self._epoch), io.BytesIO(b"state"))
            with transaction(self._engine) as session:
                recording.record_epoch(session, epoch_record(self._claim, self._epoch))
            if self._epoch > 2:
                self._files.delete(self._name(self._epoch - 2))

    def _name(self, epoch: int) -> str:
        return f"{self.run_id}/attempt-1-epoch-{epoch}.safetensors"


@pytest.mark.parametrize("urls", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.usefixtures("postgres_programs")
def test_an_empty_home_becomes_what_was_backed_up(urls: list[str], tmp_path: Path) -> None:
    old = make_clinic(tmp_path / "old", urls[0])
    fill(old)
    with transaction(old.engine) as session:
        create_upload(session, old.service().app.state.services.uploaded)
    before = everything(old)
    assert len(before) > 9
    assert back_up(old.settings, tmp_path / "backup") == 6  # pictures, bins, two arrays of the upload, a checkpoint
    new = make_clinic(tmp_path / "new", urls[1], is_empty=True)
    assert restore(new.settings, tmp_path / "backup") == 6
    assert everything(new) == before
    with pytest.raises(BackupFailed, match="already"):
        restore(new.settings, tmp_path / "backup")
    for clinic in (old, new):
        clinic.engine.dispose()


def test_a_second_backup_copies_only_what_is_new(tmp_path: Path) -> None:
    clinic = make_clinic(tmp_path / "home", f"sqlite:///{tmp_path / 'first.db'}")
    fill(clinic)
    assert back_up(clinic.settings, tmp_path / "backup") == 4
    assert back_up(clinic.settings, tmp_path / "backup") == 0
    fill(clinic)
    assert back_up(clinic.settings, tmp_path / "backup") == 1  # its checkpoint: the pictures are the same
    new = make_clinic(tmp_path / "new", f"sqlite:///{tmp_path / 'second.db'}", is_empty=True)
    restore(new.settings, tmp_path / "backup")
    assert new.service().count_runs() == 2
    for each in (clinic, new):
        each.engine.dispose()


def test_a_backup_moves_a_clinic_from_a_bucket_to_a_directory_and_back(s3_server: S3Server, tmp_path: Path) -> None:
    bucket, other_bucket = s3_server.settings(), s3_server.settings()
    clinics = [
        make_clinic(tmp_path / str(i), f"sqlite:///{tmp_path / str(i)}.db", is_empty=i > 0, **where)
        for i, where in enumerate((bucket, {}, other_bucket))
    ]
    first, *others = clinics
    fill(first)
    before = everything(first)
    for number, (source, target) in enumerate(zip(clinics, others, strict=False)):
        backup = tmp_path / f"backup-{number}"
        assert back_up(source.settings, backup) == 4
        restore(target.settings, backup)
        assert everything(target) == before
    assert len(before) > 9
    for clinic in clinics:
        clinic.engine.dispose()


def training_goes_on(
    monkeypatch: pytest.MonkeyPatch, training: Training, *, times: int, before: int, after: int
) -> None:
    """So many epochs are recorded before and after the database is copied, the first few times."""
    copy_database, left = backup._copy_database, iter(range(times))

    def copy(*arguments: Any) -> set[str]:
        is_fast = next(left, None) is not None
        training.record(before if is_fast else 0)
        named = copy_database(*arguments)
        training.record(after if is_fast else 0)
        return named

    monkeypatch.setattr(backup, "_copy_database", copy)


def newest_checkpoint(engine: Engine, run_id: str) -> tuple[int, str]:
    with reading(engine) as session:
        newest = records.last_checkpoint(session, run_id)
    assert newest is not None
    return newest


@pytest.mark.parametrize("urls", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(("before", "after", "epoch"), [(0, 3, 3), (1, 1, 4), (3, 3, 9)])
@pytest.mark.usefixtures("postgres_programs")
def test_the_checkpoint_that_a_run_goes_on_from_is_in_the_backup(
    urls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int, epoch: int
) -> None:
    """However many a training writes and deletes before and after the database is copied."""
    clinic = make_clinic(tmp_path / "home", urls[0])
    training = Training(clinic)
    training.record(3)
    training_goes_on(monkeypatch, training, times=1, before=before, after=after)
    back_up(clinic.settings, tmp_path / "backup")
    new = make_clinic(tmp_path / "new", urls[1], is_empty=True)
    restore(new.settings, tmp_path / "backup")
    number, name = newest_checkpoint(new.engine, training.run_id)
    assert number == epoch
    assert checkpoint_files(new.settings).has(f"{training.run_id}/{name}")
    for each in (clinic, new):
        each.engine.dispose()


def test_a_checkpoint_that_cannot_be_had_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clinic = make_clinic(tmp_path / "home", f"sqlite:///{tmp_path / 'first.db'}")
    training = Training(clinic)
    training_goes_on(monkeypatch, training, times=99, before=3, after=3)
    back_up(clinic.settings, tmp_path / "backup")
    assert (
        f"{training.run_id}/attempt-1-epoch-21.safetensors; their runs will go on from the checkpoints" in caplog.text
    )
    clinic.engine.dispose()


def test_passwords_are_not_among_the_arguments_of_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD" "$@" >&2\nexit 1\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for address in ("clinic:s3cret-word@db/clinic?sslmode=require", "db/clinic?sslmode=require&password=s3cret-word"):
        settings = Settings(home=tmp_path, database_url=f"postgresql://{address}")
        with pytest.raises(BackupFailed) as told:
            backup._call_postgres("pg_dump", make_url(settings.database), "--format=custom")
        password, *arguments = str(told.value).removeprefix("pg_dump failed: ").splitlines()
        assert password == "s3cret-word"
        assert "s3cret-word" not in " ".join(arguments)
        assert "sslmode=require" in " ".join(arguments)


def test_a_backup_into_the_home_leaves_its_database_alone(tmp_path: Path) -> None:
    database = tmp_path / "ganclinic.db"
    clinic = make_clinic(tmp_path, f"sqlite:///{database}")
    before = database.stat().st_ino
    with pytest.raises(BackupFailed, match="is the database itself; back up to another directory"):
        back_up(clinic.settings, tmp_path)
    assert database.stat().st_ino == before  # whoever has it open still writes to it
    clinic.engine.dispose()


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with pytest.raises(
        BackupFailed, match=r"there is no 'ganclinic.db' in '.*', which a backup of such a database has"
    ):
        restore(settings, tmp_path)
    with pytest.raises(BackupFailed, match="there is no database"):
        back_up(settings, tmp_path / "backup")


def write_and_crash(database: Path, rows: int) -> None:
    """A process adds rows to the table `kept` of a database, and is killed before SQLite tidies up."""
    script = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1])\n"
        "db.execute('PRAGMA journal_mode=WAL')\n"
        "db.execute('CREATE TABLE IF NOT EXISTS kept (x)')\n"
        "db.executemany('INSERT INTO kept VALUES (?)', [(i,) for i in range(int(sys.argv[2]))])\n"
        "db.commit()\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(database), str(rows)], check=True)


def count_kept(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT count(*) FROM kept").fetchone()[0]


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty one, which every user of this machine may look into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def as_nobody() -> Iterator[None]:
    """In the block, a process of root's has no more rights than others; another one is what it is."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_backup_that_may_only_be_read_is_restored_and_stays_as_it_is(folder: Path) -> None:
    clinic = make_clinic(folder / "home", f"sqlite:///{folder / 'first.db'}")
    fill(clinic)
    before = everything(clinic)
    back_up(clinic.settings, folder / "backup")
    new_home = folder / "new"
    new_home.mkdir()
    for path in [folder / "backup", *(folder / "backup").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.chown(new_home, NOBODY, -1)
    kept = {path: path.stat().st_mtime_ns for path in (folder / "backup").rglob("*")}
    new = make_clinic(new_home, f"sqlite:///{new_home / 'second.db'}", is_empty=True)
    with as_nobody():
        restore(new.settings, folder / "backup")
    assert everything(new) == before
    assert {path: path.stat().st_mtime_ns for path in (folder / "backup").rglob("*")} == kept
    for path in [folder / "backup", *(folder / "backup").rglob("*")]:
        path.chmod(0o755)
    for each in (clinic, new):
        each.engine.dispose()


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_no_database_is_restored_beside_what_is_left_of_another(tmp_path: Path, ending: str) -> None:
    """SQLite would replay the log of the old database into the restored one, and call it intact."""
    database = tmp_path / "home" / "ganclinic.db"
    settings = Settings(home=database.parent)
    database.parent.mkdir()
    write_and_crash(database, 2)
    back_up(settings, tmp_path / "backup")
    write_and_crash(database, 200)
    database.unlink()
    left = database.with_name(f"{database.name}{ending}")
    left.touch()
    for other in set(database.parent.glob("ganclinic.db-*")) - {left}:
        other.unlink()
    with pytest.raises(BackupFailed, match=rf"still '.*ganclinic\.db{ending}' of the one that was there; .* Move them"):
        restore(settings, tmp_path / "backup")
    assert not database.exists()
    left.unlink()
    restore(settings, tmp_path / "backup")
    assert count_kept(database) == 2


def test_a_backup_that_somebody_has_written_to_is_not_restored_but_replaced(tmp_path: Path) -> None:
    database, copy = tmp_path / "home" / "ganclinic.db", tmp_path / "backup" / "ganclinic.db"
    settings, new = Settings(home=database.parent), Settings(home=tmp_path / "new")
    database.parent.mkdir()
    write_and_crash(database, 2)
    back_up(settings, copy.parent)
    write_and_crash(copy, 200)
    with pytest.raises(BackupFailed, match=r"beside '.*ganclinic.db' there is '.*-wal', which no backup has"):
        restore(new, copy.parent)
    back_up(settings, copy.parent)
    restore(new, copy.parent)
    assert count_kept(new.home / "ganclinic.db") == 2


def test_what_a_killed_backup_has_left_is_not_added_to_the_next(tmp_path: Path) -> None:
    database, part = tmp_path / "home" / "ganclinic.db", tmp_path / "backup" / ".ganclinic.db.part"
    for each, rows in ((database, 2), (part, 200)):
        each.parent.mkdir()
        write_and_crash(each, rows)
    assert part.with_name(f"{part.name}-wal").stat().st_size > 0
    back_up(Settings(home=database.parent), part.parent)
    assert [path.name for path in part.parent.iterdir()] == ["ganclinic.db"]
    assert count_kept(part.parent / "ganclinic.db") == 2


@pytest.mark.parametrize("damage", ["no database", "cut off"])
def test_a_damaged_database_is_refused_and_leaves_nothing_behind(tmp_path: Path, damage: str) -> None:
    clinic = make_clinic(tmp_path / "home", f"sqlite:///{tmp_path / 'first.db'}")
    back_up(clinic.settings, tmp_path / "backup")
    clinic.engine.dispose()
    copy = tmp_path / "backup" / backup.SQLITE_COPY
    content = copy.read_bytes()
    copy.write_bytes(b"not this " * 1000 if damage == "no database" else content[: len(content) // 2])
    target = tmp_path / "new" / "second.db"
    new = Settings(home=tmp_path / "new", database_url=f"sqlite:///{target}")
    with pytest.raises(
        BackupFailed, match=r"ganclinic.db' cannot be copied to '.*second.db': (file is not|.* malformed)"
    ):
        restore(new, tmp_path / "backup")
    assert list(target.parent.glob("*second.db*")) == []


def other_pg_dump(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """This program is called instead; the mode of its file is in `mode`."""
    program = folder / "pg_dump"
    look = 'for argument; do case "$argument" in --file=*) file="${argument#--file=}";; esac; done\n'
    program.write_text(f'#!/bin/sh\n{look}stat -c %a "$file" >"{folder}/mode"\n{script}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_only_its_owner_may_read_a_dump_from_its_first_byte_on(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (programs := tmp_path / "programs").mkdir()
    clinic = make_clinic(tmp_path / "home", postgres_url)
    other_pg_dump(programs, monkeypatch, 'echo dump >"$file"')
    back_up(clinic.settings, tmp_path / "backup")
    clinic.engine.dispose()
    dump = tmp_path / "backup" / backup.POSTGRES_COPY
    assert (programs / "mode").read_text() == "600\n"
    assert (dump.read_text(), dump.stat().st_mode & 0o777) == ("dump\n", 0o600)


def test_a_dump_that_fails_leaves_the_one_before_and_nothing_else(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (programs := tmp_path / "programs").mkdir()
    clinic = make_clinic(tmp_path / "home", postgres_url)
    other_pg_dump(programs, monkeypatch, 'echo dump >"$file"')
    back_up(clinic.settings, tmp_path / "backup")
    other_pg_dump(programs, monkeypatch, 'echo half >"$file"; echo no room >&2; exit 1')
    with pytest.raises(BackupFailed, match="pg_dump failed: no room"):
        back_up(clinic.settings, tmp_path / "backup")
    clinic.engine.dispose()
    assert [path.name for path in (tmp_path / "backup").iterdir() if path.is_file()] == [backup.POSTGRES_COPY]
    assert (tmp_path / "backup" / backup.POSTGRES_COPY).read_text() == "dump\n"


def test_without_the_programs_of_postgresql_one_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    settings = Settings(home=tmp_path, database_url="postgresql://clinic:secret@localhost/clinic")
    with pytest.raises(BackupFailed, match=r"there is no pg_dump here; install .* --files-only"):
        back_up(settings, tmp_path / "backup")
    assert back_up(settings, tmp_path / "backup", files_only=True) == 0


def test_the_command_backs_up_and_restores(tmp_path: Path) -> None:
    clinic = make_clinic(tmp_path / "home", f"sqlite:///{tmp_path / 'home' / 'ganclinic.db'}", is_empty=True)
    clinic.settings.home.mkdir()
    upgrade(clinic.engine)
    fill(clinic)
    clinic.engine.dispose()

    def run(home: str, *arguments: str) -> str:
        command = [sys.executable, "-m", "store.backup", *arguments]
        environment = {**os.environ, "GANCLINIC_HOME": str(tmp_path / home)}
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=CHECKOUT, env=environment).stdout

    backup = str(tmp_path / "backup")
    assert run("home", backup) == f"backed up to {backup}: 4 files copied\n"
    assert run("new", "--restore", backup) == f"restored from {backup}: 4 files copied\n"
    assert (tmp_path / "new" / "ganclinic.db").stat().st_mode & 0o777 == 0o600
