"""What expires, what is collected, and what never is."""

import io
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.orm import Session

from store.core.db import reading, transaction
from store.core.models import Epoch, Run
from store.core.settings import Settings
from store.files import references
from store.files.artifacts import LocalArtifacts
from store.files.backends import checkpoint_files, open_artifacts, open_uploaded
from store.files.s3 import S3Files
from store.retention import collect
from store.runs import endings, recording, records
from store.runs.claims import Claim
from store.runs.deletion import RECORDS
from tests.support.comparison import create_comparison
from tests.support.images import CHECKOUT
from tests.support.servers import S3Server
from tests.support.store import claim_run, create_run, epoch_record
from tests.support.uploads import create_upload
from worker.host.housekeeping import Housekeeping

LONG_AGO = 1e9
DAY_S = 86_400


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def age(settings: Settings, of: float = LONG_AGO) -> None:
    """Makes every stored file one that was put then."""
    for area in (settings.artifacts, settings.uploaded, settings.checkpoints):
        for path in area.rglob("*"):
            if path.is_file():
                os.utime(path, (of, of))


def record(session: Session, settings: Settings, num_epochs: int = 3) -> Claim:
    """A running run, each epoch with a picture and a checkpoint."""
    create_run(session)
    claimed = claim_run(session)
    artifacts = open_artifacts(settings)
    for epoch in range(1, num_epochs + 1):
        picture = artifacts.put(f"{claimed.run_id} {epoch}".encode(), "image/png")
        path = checkpoint_files(settings).local_path(f"{claimed.run_id}/attempt-1-epoch-{epoch}.safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"state")
        recording.record_epoch(session, epoch_record(claimed, epoch, artifacts={"samples": picture}))
    return claimed


def finish(engine: Engine, settings: Settings, days_ago: float = 0) -> str:
    """The id of such a run that was over so long ago."""
    with transaction(engine) as session:
        claimed = record(session, settings)
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")
        then = time.time() - days_ago * DAY_S
        session.execute(update(Run).where(Run.id == claimed.run_id).values(finished_at=then))
        session.execute(update(Epoch).where(Epoch.run_id == claimed.run_id).values(recorded_at=then))
    return claimed.run_id


def pictures(engine: Engine, run_id: str) -> list[int]:
    with reading(engine) as session:
        return [artifact.epoch for artifact in records.artifacts(session, run_id, "samples")]


def changed(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update=changes)


def test_what_a_row_names_is_never_collected(engine: Engine, settings: Settings) -> None:
    finish(engine, settings, days_ago=1000)
    with transaction(engine) as session:
        upload = create_upload(session, open_uploaded(settings))
        comparison = create_comparison(session)
        reals = open_artifacts(settings).put(b"reals", "application/octet-stream")
        comparison.spec = comparison.spec | {"reals": reals.sha256}
    age(settings)
    assert collect(engine, settings).files == 0
    assert open_uploaded(settings).has(upload.samples_sha256)
    assert open_artifacts(settings).has(reals.sha256)
    assert len(list(open_artifacts(settings).entries())) == 4


def test_comparisons_expire_with_their_samples_once_they_have_been_over_for_long(
    engine: Engine, settings: Settings
) -> None:
    artifacts = open_artifacts(settings)
    names = ("old", "young", "queued")
    samples = {name: artifacts.put(name.encode(), "application/octet-stream").sha256 for name in names}
    with transaction(engine) as session:
        ids = {name: create_comparison(session, reals=samples[name], fakes=samples[name]).id for name in names}
        for name, days in (("old", 31), ("young", 29)):
            values = {"status": "succeeded", "finished_at": time.time() - days * DAY_S}
            session.execute(update(Run).where(Run.id == ids[name]).values(**values))
    age(settings)
    assert collect(engine, settings).comparisons == 0
    monthly = changed(settings, retention_comparisons_days=30)
    would = collect(engine, monthly, dry_run=True)
    assert (would.comparisons, would.files) == (1, 1)
    assert artifacts.has(samples["old"])
    assert collect(engine, monthly) == would
    assert [name for name in names if artifacts.has(samples[name])] == ["young", "queued"]
    with reading(engine) as session:
        assert session.get(Run, ids["old"]) is None
        assert session.get(Run, ids["young"]) is not None


@pytest.mark.parametrize("count", [1, 3])
def test_comparisons_expire_together_in_as_many_statements_as_one(
    sqlite_engine: Engine, settings: Settings, count: int
) -> None:
    then = time.time() - 31 * DAY_S
    with transaction(sqlite_engine) as session:
        for _ in range(count):
            create_comparison(session)
        session.execute(update(Run).values(status="succeeded", finished_at=then))
    statements: list[str] = []
    event.listen(sqlite_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert collect(sqlite_engine, changed(settings, retention_comparisons_days=30)).comparisons == count
    deleting = [statement for statement in statements if statement.startswith("DELETE")]
    assert len(deleting) == len(RECORDS) + 1


def test_more_comparisons_expire_than_one_statement_names(
    sqlite_engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "MANY", 2)
    with transaction(sqlite_engine) as session:
        for _ in range(5):
            create_comparison(session)
        session.execute(update(Run).values(status="succeeded", finished_at=time.time() - 31 * DAY_S))
    assert collect(sqlite_engine, changed(settings, retention_comparisons_days=30)).comparisons == 5
    with reading(sqlite_engine) as session:
        assert session.scalars(select(Run.id)).all() == []


def test_what_no_row_names_is_collected_once_it_is_old(engine: Engine, settings: Settings) -> None:
    artifacts = open_artifacts(settings)
    with transaction(engine) as session:
        going_on = record(session, settings)
    over = finish(engine, settings)
    orphan = artifacts.put(b"orphan", "image/png")
    for run_id in (over, going_on.run_id, "0" * 16):
        path = checkpoint_files(settings).local_path(f"{run_id}/attempt-9-epoch-9.safetensors")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"state")
    assert collect(engine, settings).files == 0
    age(settings)
    would = collect(engine, settings, dry_run=True)
    assert (would.files, would.size) == (3, len(b"orphan") + 2 * len(b"state"))
    assert artifacts.has(orphan.sha256)
    assert collect(engine, settings) == would
    assert not artifacts.has(orphan.sha256)
    left = {entry.name for entry in checkpoint_files(settings).entries()}
    assert {name for name in left if "attempt-9" in name} == {f"{going_on.run_id}/attempt-9-epoch-9.safetensors"}
    assert collect(engine, settings).files == 0


FOREIGN = (
    *("README.txt", "ab/notes.csv", "ab/cdef", f"{'a' * 2}/{'b' * 61}", f"{'0' * 16}/best.safetensors"),
    *("pretrained/attempt-1-epoch-1.safetensors", "deep/er/model.safetensors", ".keep", "ab/.nfs0001"),
    *(".doomed-notes.txt", ".tmp-mine", "ab/.tmp-their-own"),
)
"""What is not named as our files are, in any area."""


def test_what_the_service_never_wrote_is_left_alone(engine: Engine, settings: Settings) -> None:
    areas = (settings.artifacts, settings.uploaded, settings.checkpoints)
    paths = [area / name for area in areas for name in FOREIGN]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"theirs")
    orphan = open_uploaded(settings).put(b"orphan", "application/octet-stream")
    age(settings)
    assert collect(engine, settings).files == 1
    assert [path for path in paths if not path.exists()] == []
    assert not open_uploaded(settings).has(orphan.sha256)


def test_what_the_service_never_wrote_is_left_alone_in_a_bucket(
    sqlite_engine: Engine, s3_server: S3Server, tmp_path: Path
) -> None:
    # Whatever was put until a minute from now is old.
    settings = changed(Settings(home=tmp_path, **s3_server.settings()), retention_grace=timedelta(minutes=-1))
    files = checkpoint_files(settings)
    assert isinstance(files, S3Files)
    theirs = {*FOREIGN, "notes/a b.txt"}
    for name in theirs:
        obstore.put(files._store, name, b"theirs")
    files.put(f"{'0' * 16}/attempt-1-epoch-1.safetensors", io.BytesIO(b"state"))
    (tmp_path / "checkpoints" / "pretrained").mkdir(parents=True)
    (tmp_path / "checkpoints" / "pretrained" / "model.safetensors").touch()
    assert collect(sqlite_engine, settings).files == 1
    assert {found["path"] for page in obstore.list(files._store) for found in page} == theirs
    assert (tmp_path / "checkpoints" / "pretrained" / "model.safetensors").exists()


def test_a_file_that_is_stored_again_counts_as_new(engine: Engine, settings: Settings) -> None:
    artifacts = open_artifacts(settings)
    stored = artifacts.put(b"picture", "image/png")
    age(settings)
    artifacts.put(b"picture", "image/png")
    assert collect(engine, settings).files == 0
    assert artifacts.get(stored.sha256) == b"picture"


def test_what_killed_writers_left_is_swept(engine: Engine, settings: Settings) -> None:
    stored = LocalArtifacts(settings.artifacts).put(b"picture", "image/png")
    path = LocalArtifacts(settings.artifacts).path(stored.sha256)
    (path.parent / ".tmp-abcd_123").touch()
    part = settings.checkpoints / ("0" * 16) / ".attempt-1-epoch-2.safetensors.part"
    part.parent.mkdir(parents=True)
    part.touch()
    path.rename(path.with_name(f".doomed-{path.name}"))
    age(settings)
    collect(engine, settings)
    assert [found for found in settings.artifacts.rglob("*") if found.is_file()] == [path]
    assert not part.parent.exists()


def test_logs_of_deleted_runs_are_deleted(engine: Engine, settings: Settings) -> None:
    run_id = finish(engine, settings)
    settings.logs.mkdir()
    gone = (f"{'0' * 16}.1.log", f"{'0' * 16}.1.log.1")
    names = (f"{run_id}.1.log", "api.log", *gone, f"{'0' * 16}.my.log", f"{'f' * 16}.2.log")
    for name in names:
        path = settings.logs / name
        path.touch()
        if name != names[-1]:  # that one is new
            os.utime(path, (LONG_AGO, LONG_AGO))
    collect(engine, settings)
    assert {path.name for path in settings.logs.iterdir()} == set(names) - set(gone)


def test_pictures_of_runs_that_are_over_expire_but_for_their_last(engine: Engine, settings: Settings) -> None:
    old, new = finish(engine, settings, days_ago=31), finish(engine, settings, days_ago=29)
    with transaction(engine) as session:
        going_on = record(session, settings)
        session.execute(update(Epoch).where(Epoch.run_id == going_on.run_id).values(recorded_at=LONG_AGO))
    age(settings)
    strict = changed(settings, retention_samples_days=30.0)
    assert collect(engine, strict, dry_run=True).pictures == 2
    assert pictures(engine, old) == [1, 2, 3]
    assert collect(engine, strict).pictures == 2
    assert [pictures(engine, run_id) for run_id in (old, new, going_on.run_id)] == [[3], [1, 2, 3], [1, 2, 3]]
    assert collect(engine, strict).files == 0  # their files went with the rows
    assert len(list(open_artifacts(settings).entries())) == 7


def test_the_last_samples_stay_where_a_later_epoch_has_another_picture(engine: Engine, settings: Settings) -> None:
    with transaction(engine) as session:
        claimed = record(session, settings)
        bins = open_artifacts(settings).put(b"bins", "image/png")
        recording.record_epoch(session, epoch_record(claimed, 4, artifacts={"bins": bins}))
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")
        session.execute(update(Epoch).where(Epoch.run_id == claimed.run_id).values(recorded_at=LONG_AGO))
    assert collect(engine, changed(settings, retention_samples_days=30.0)).pictures == 2
    assert pictures(engine, claimed.run_id) == [3]
    with reading(engine) as session:
        assert [picture.epoch for picture in records.artifacts(session, claimed.run_id, "bins")] == [4]


def test_checkpoints_of_runs_that_are_over_expire(engine: Engine, settings: Settings) -> None:
    old, new = finish(engine, settings, days_ago=31), finish(engine, settings, days_ago=29)
    needed = finish(engine, settings, days_ago=31)
    with transaction(engine) as session:
        create_run(session).warm_start = {"run_id": needed, "epoch": 3, "checkpoint": "attempt-1-epoch-3.safetensors"}
    age(settings)
    assert collect(engine, changed(settings, retention_checkpoints_days=30.0)).checkpoints == 3
    left = {entry.name.partition("/")[0] for entry in checkpoint_files(settings).entries()}
    assert left == {new, needed}
    with reading(engine) as session:
        assert records.last_checkpoint(session, old) is None


def test_a_host_forgets_copies_of_what_another_deleted(engine: Engine, s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.settings()
    here, there = (Settings(home=tmp_path / name, **bucket) for name in ("here", "there"))
    stored = open_artifacts(there).put(b"picture", "image/png")
    kept = open_artifacts(there).put(b"another", "image/png")
    copy = open_artifacts(here).fetch(stored.sha256)
    other = open_artifacts(here).fetch(kept.sha256)
    open_artifacts(there).delete(stored.sha256)
    age(here)
    collect(engine, here)
    assert not copy.exists()
    assert other.exists()
    assert open_artifacts(here).has(kept.sha256)  # no row names it, but it is fresh


def test_the_command_says_what_is_gone(sqlite_engine: Engine, settings: Settings) -> None:
    open_artifacts(settings).put(b"orphan", "image/png")
    age(settings)
    environment = {
        **os.environ,
        "GANCLINIC_HOME": str(settings.home),
        "GANCLINIC_DATABASE_URL": sqlite_engine.url.render_as_string(),
    }

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "store.retention", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=CHECKOUT, env=environment).stdout

    expired = "0 pictures, 0 checkpoints and 0 evaluations of uploaded samples expired"
    words = f"{expired}; 1 files of together 0.0 MB that no row names"
    assert run("--dry-run") == f"would go: {words}\n"
    assert run() == f"gone: {words}\n"


def test_a_worker_collects_again_and_again_whatever_it_trains(sqlite_engine: Engine, settings: Settings) -> None:
    artifacts = open_artifacts(settings)
    housekeeping = Housekeeping(engine=sqlite_engine, settings=settings, interval_s=0.05)
    housekeeping.start()
    for content in (b"one", b"two"):
        stored = artifacts.put(content, "image/png")
        age(settings)
        while artifacts.has(stored.sha256):
            time.sleep(0.01)
    housekeeping.stop()
    housekeeping._periodic.stop()  # waits for the thread


def test_a_worker_waits_before_it_collects(sqlite_engine: Engine, settings: Settings) -> None:
    stored = open_artifacts(settings).put(b"orphan", "image/png")
    age(settings)
    housekeeping = Housekeeping(engine=sqlite_engine, settings=settings)
    housekeeping.start()
    time.sleep(0.1)
    assert open_artifacts(settings).has(stored.sha256)
    housekeeping.stop()
    housekeeping._periodic.stop()  # waits for the thread


def test_a_grace_that_is_too_short_for_a_bucket_is_refused(s3_server: S3Server) -> None:
    with pytest.raises(ValueError, match="retention_grace: 60 s is too short for files in a bucket"):
        Settings(retention_grace=timedelta(seconds=60), **s3_server.settings())
