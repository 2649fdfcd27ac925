"""A backup gives back the same runs, verdicts and pictures."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from store.backup import back_up, restore
from store.db import make_engine, transaction, upgrade
from store.errors import BackupFailed
from store.places import checkpoint_files
from store.settings import Settings
from tests.support.api import Service, make_service, record
from tests.support.images import CHECKOUT
from tests.support.servers import PostgresServer, S3Server
from tests.support.uploads import create_upload


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


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with pytest.raises(
        BackupFailed, match=r"there is no 'ganclinic.db' in '.*', which a backup of such a database has"
    ):
        restore(settings, tmp_path)
    with pytest.raises(BackupFailed, match="there is no database"):
        back_up(settings, tmp_path / "backup")


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
