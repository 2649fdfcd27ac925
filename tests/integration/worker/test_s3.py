"""Hosts that share nothing but the database and a bucket."""

import hashlib
import io
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from store.core.db import make_engine, reading, upgrade
from store.core.errors import ArtifactNotFound
from store.core.settings import Settings
from store.files.backends import checkpoint_files, open_artifacts
from store.runs import records
from tests.support.api import make_service
from tests.support.proxy import Proxy, proxy
from tests.support.servers import S3Server
from tests.support.uploads import pixels
from tests.support.worker import TINY, Clinic, claim_next, queue_run, stop, train_here
from worker.attempt.channel import Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine with a home of its own."""

    engine: Engine
    settings: Settings

    def train(self, *, at_step: int | None = None, interrupt: Callable[[], None] = stop) -> str:
        """What the worker was told by an attempt of the next run."""
        how: Any = {"engine": self.engine, "settings": self.settings, "at_step": at_step, "interrupt": interrupt}
        with suppress(Stopped):
            train_here(claim_next(self.engine), **how)
        return (self.settings.home / "events").read_text()


class Clinics:
    """A database, a bucket, and as many hosts as a test wants."""

    def __init__(self, engine: Engine, folder: Path, bucket: dict[str, Any]) -> None:
        self.engine, self.folder, self.bucket = engine, folder, bucket
        self.clinic = Clinic(home=folder, engine=engine, database_url="")

    def host(self, name: str, **changes: Any) -> Host:
        values: dict[str, Any] = {"home": self.folder / name, "device": "cpu", "threads": 1, **self.bucket, **changes}
        return Host(engine=self.engine, settings=Settings(**values))

    def create_run(self, **settings: Any) -> str:
        return queue_run(self.engine, TINY, settings)


@pytest.fixture
def clinics(sqlite_url: str, tmp_path: Path, s3_server: S3Server) -> Iterator[Clinics]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield Clinics(engine, tmp_path, s3_server.settings())
    engine.dispose()


@pytest.fixture
def way(s3_server: S3Server) -> Iterator[Proxy]:
    with proxy(s3_server.port) as made:
        yield made


def test_a_host_that_has_nothing_goes_on_where_another_stopped(clinics: Clinics) -> None:
    undisturbed, disturbed = clinics.create_run(), clinics.create_run()
    clinics.host("host-1").train()
    clinics.host("host-1").train(at_step=18)
    shutil.rmtree(clinics.folder / "host-1")
    clinics.host("host-2").train()
    assert clinics.clinic.run(disturbed).status == "succeeded"
    assert clinics.clinic.numbers(disturbed) == clinics.clinic.numbers(undisturbed)
    _, resumed = clinics.clinic.attempts(disturbed)
    assert (resumed.resumed_from_epoch, resumed.identical) == (4, True)


def test_a_checkpoint_that_is_damaged_in_the_bucket_gives_way_to_the_one_before(clinics: Clinics) -> None:
    undisturbed, disturbed = clinics.create_run(), clinics.create_run()
    clinics.host("host-1").train()
    clinics.host("host-1").train(at_step=18)
    shutil.rmtree(clinics.folder / "host-1")
    files = checkpoint_files(clinics.host("host-2").settings)
    newest = f"{disturbed}/attempt-1-epoch-4.safetensors"
    content = bytearray(files.read(newest))
    content[-1] ^= 1  # still a checkpoint, with another weight
    files.put(newest, io.BytesIO(content))
    clinics.host("host-2").train()
    assert clinics.clinic.numbers(disturbed) == clinics.clinic.numbers(undisturbed)
    assert clinics.clinic.attempts(disturbed)[-1].resumed_from_epoch == 2


def test_an_epoch_names_its_checkpoint_with_its_hash_and_old_ones_leave_the_bucket(clinics: Clinics) -> None:
    run_id = clinics.create_run()
    host = clinics.host("host-1", keep_checkpoints=1)
    host.train()
    last = clinics.clinic.epochs(run_id)[-1]
    files = checkpoint_files(clinics.host("host-2").settings)
    assert last.checkpoint is not None
    assert hashlib.sha256(files.read(f"{run_id}/{last.checkpoint}")).hexdigest() == last.checkpoint_sha256
    with reading(clinics.engine) as session:
        healthy = {d.epoch for d in records.diagnoses(session, run_id) if d.severity in ("none", "mild")} & {2, 4, 5}
    kept = {5} | ({max(healthy)} if healthy else set())
    expected = {f"{run_id}/attempt-1-epoch-{epoch}.safetensors" for epoch in kept}
    assert {entry.name for entry in files.entries()} == expected
    assert {path.name for path in host.settings.checkpoints.glob("*/*")} == {Path(name).name for name in expected}


def test_another_host_serves_the_pictures(clinics: Clinics) -> None:
    run_id = clinics.create_run(**{"training.epochs": 1})
    clinics.host("host-1").train()
    service = make_service(clinics.engine, clinics.folder / "host-2", **clinics.bucket)
    picture = service.client.get(f"/v1/runs/{run_id}/samples/1")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert list(service.settings.home.glob("artifacts/*")) == []


def test_a_run_trains_on_what_was_uploaded_to_another_host(clinics: Clinics) -> None:
    service = make_service(clinics.engine, clinics.folder / "host-1", **clinics.bucket)
    file = io.BytesIO()
    np.save(file, pixels(0, 60, 1, 8, 8))
    uploaded = service.client.post("/v1/uploads", files={"file": ("pets.npy", file.getvalue())})
    assert uploaded.status_code == 201, uploaded.text
    spec = {**TINY, "dataset": {"name": "upload", "upload": uploaded.json()["id"]}}
    created = service.client.post("/v1/runs", json={"spec": spec, "set": {"training.epochs": 1}})
    assert created.status_code == 202, created.text
    clinics.host("host-2").train()
    assert clinics.clinic.run(created.json()["id"]).status == "succeeded"
    assert service.client.delete(f"/v1/uploads/{uploaded.json()['id']}").status_code == 204
    assert service.client.post("/v1/uploads", files={"file": ("pets.npy", file.getvalue())}).status_code == 201


def test_a_training_waits_for_its_store_and_goes_on(clinics: Clinics, way: Proxy) -> None:
    undisturbed, disturbed = clinics.create_run(), clinics.create_run()
    clinics.host("host-1").train()

    def break_off() -> None:
        way.break_after(700)  # in the middle of a request
        threading.Thread(target=mend_later, daemon=True).start()

    def mend_later() -> None:
        while "waiting for the store of files" not in (host.settings.home / "events").read_text():
            time.sleep(0.05)
        way.mend()

    host = clinics.host("host-2", s3_endpoint=way.url)
    host.train(at_step=11, interrupt=break_off)
    assert way.refused > 0
    assert clinics.clinic.run(disturbed).status == "succeeded"
    assert clinics.clinic.numbers(disturbed) == clinics.clinic.numbers(undisturbed)
    with reading(clinics.engine) as session:
        (picture, *_) = records.artifacts(session, disturbed, "samples")
    assert open_artifacts(clinics.host("host-3").settings).get(picture.sha256)


def test_the_api_says_that_the_store_does_not_answer(clinics: Clinics, way: Proxy) -> None:
    run_id = clinics.create_run(**{"training.epochs": 1})
    clinics.host("host-1").train()
    bucket = {**clinics.bucket, "s3_endpoint": way.url}
    service = make_service(clinics.engine, clinics.folder / "host-2", **bucket)
    way.break_after(0)
    answer = service.client.get(f"/v1/runs/{run_id}/samples/1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "urn:ganclinic:problem:store-unavailable"
    assert "127.0.0.1" not in answer.text
    way.mend()
    assert service.client.get(f"/v1/runs/{run_id}/samples/1").is_success


@pytest.mark.slow
def test_a_worker_goes_on_with_what_a_killed_worker_of_another_host_left(clinics: Clinics, sqlite_url: str) -> None:
    names = {f"GANCLINIC_{name.upper()}": value for name, value in clinics.bucket.items() if name != "s3_secret_key"}
    secret = clinics.folder / "secret"
    secret.write_text(clinics.bucket["s3_secret_key"].get_secret_value())
    variables = {**names, "GANCLINIC_S3_SECRET_FILE": str(secret)}
    hosts = [
        Clinic(home=clinics.folder / name, engine=clinics.engine, database_url=sqlite_url) for name in ("one", "two")
    ]
    for host in hosts:
        host.home.mkdir()
    run_id = hosts[0].create_run(**{"training.epochs": 12})
    with hosts[0].worker(**variables) as worker:
        hosts[0].wait_for_epoch(run_id, 4)
        worker.kill()
    assert not list((hosts[1].home).glob("checkpoints/*"))
    with hosts[1].worker(**variables):
        run = hosts[1].wait_for_end(run_id)
    assert (run.status, run.attempt) == ("succeeded", 2)
    resumed = hosts[1].attempts(run_id)[-1]
    assert (resumed.identical, (resumed.resumed_from_epoch or 0) >= 4) == (True, True)
    assert "correct-horse" not in "".join(path.read_text("utf-8", "replace") for path in clinics.folder.rglob("*.log"))


def test_a_picture_that_is_not_in_the_bucket_is_not_found(clinics: Clinics) -> None:
    with pytest.raises(ArtifactNotFound):
        open_artifacts(clinics.host("host-1").settings).get("ab" * 32)
