"""A watched training and its service: what is sent, through outages and deaths of either, is stored once."""

import logging
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

import ganclinic
from ganclinic.client import Client
from ganclinic.watching.watch import WatchedTraining
from ganlib.step_blocks import decode
from store.core.db import reading
from store.core.models import Run, WatchedBlock, WatchRow
from tests.support.api import TOKEN, Service
from tests.support.images import CHECKOUT
from tests.support.processes import free_port
from tests.support.serving import served, wait_until
from tests.support.watched import look
from tests.support.worker import Clinic, clinic_at


def watch(url: str, tmp_path: Path, **options: Any) -> WatchedTraining:
    return ganclinic.watch("toy", url=url, token=TOKEN, folder=tmp_path / "kept", **options)


def stored(engine: Any, run_id: str) -> list[float]:
    """The numbers `g_loss` that are stored, in their order."""
    with reading(engine) as session:
        query = select(WatchedBlock.block).where(WatchedBlock.run_id == run_id).order_by(WatchedBlock.first_step)
        found = [decode(block) for block in session.scalars(query)]
    return [float(value) for names, values in found for value in values[:, names.index("g_loss")]]


def points(seed: int) -> np.ndarray:
    return np.clip(0.3 * np.random.default_rng(seed).standard_normal((300, 2)), -1, 1)


def test_a_training_is_watched_from_its_first_step_to_its_verdict(service: Service, tmp_path: Path) -> None:
    with served(service) as url:
        with watch(url, tmp_path, real=points(0), objective="bce") as w:
            rng = np.random.default_rng(0)
            for _ in range(200):
                w.step(d_loss_real=rng.normal(0.65, 0.03), d_loss_fake=rng.normal(0.66, 0.03), g_loss=0.75)
            assert w.epoch(samples=points(1)).name is None
            wait_until(lambda: w.run_id is not None and service.rung != [])
            look(service)
            verdict = w.wait(30)
            assert (verdict.epoch, verdict.severity) == (1, "none")
        run = service.client.get(f"/v1/runs/{w.run_id}").json()
    assert (run["status"], run["name"], run["verdict"]) == ("succeeded", "toy", verdict.name)
    assert run["spec"]["dataset"]["upload"]
    assert len(service.client.get(f"/v1/runs/{w.run_id}/evaluations").json()["items"]) == 1
    assert w.folder is not None
    assert sorted(path.name for path in w.folder.iterdir()) == ["messages", "run.json"], "arrays go once they are sent"


def test_an_error_of_the_training_is_told(sqlite_service: Service, tmp_path: Path) -> None:
    def fail(w: WatchedTraining) -> None:
        with w:
            w.step(g_loss=1.0)
            raise ZeroDivisionError("division by zero")

    with served(sqlite_service) as url, pytest.raises(ZeroDivisionError):
        fail(watch(url, tmp_path))
    (run,) = sqlite_service.client.get("/v1/runs").json()["items"]
    look(sqlite_service)
    run = sqlite_service.client.get(f"/v1/runs/{run['id']}").json()
    assert (run["status"], run["error"]) == ("failed", "ZeroDivisionError: division by zero")


def test_a_cancelled_run_reaches_its_trainer(sqlite_service: Service, tmp_path: Path) -> None:
    with served(sqlite_service) as url:
        w = watch(url, tmp_path)
        w.step(g_loss=1.0)
        wait_until(lambda: w.run_id is not None and stored(sqlite_service.engine, str(w.run_id)) != [])
        sqlite_service.client.post(f"/v1/runs/{w.run_id}/cancel")

        def is_told() -> bool:
            w.step(g_loss=1.0)
            return w.verdict.cancelled

        wait_until(is_told)
        w.end()


def test_samples_that_are_refused_do_not_keep_the_epoch_back(
    sqlite_service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ganclinic.watch")
    with served(sqlite_service) as url, watch(url, tmp_path, real=points(0)) as w:
        w.step(g_loss=1.0)
        w.epoch(samples=np.zeros((60, 3)))
    assert "samples of epoch 1 were refused" in caplog.text
    with reading(sqlite_service.engine) as session:
        assert session.scalars(select(WatchRow.epochs)).one() == 1


def test_what_was_kept_while_nobody_listened_is_synced_once(sqlite_service: Service, tmp_path: Path) -> None:
    w = ganclinic.watch("toy", url=f"http://127.0.0.1:{free_port()}", token=TOKEN, folder=tmp_path / "kept")
    for i in range(50):
        w.step(g_loss=float(i))
    w.epoch(samples=points(1))
    w.end(timeout_s=1.0)
    assert w.run_id is None
    with served(sqlite_service) as url, Client(url, TOKEN) as client:
        told = [one for _ in range(2) for one in client.sync(tmp_path / "kept")]
    assert [(one.error, one.is_whole) for one in told] == 2 * [(None, True)]
    with reading(sqlite_service.engine) as session:
        (run,) = session.scalars(select(Run).where(Run.watched)).all()
    assert stored(sqlite_service.engine, run.id) == [float(i) for i in range(50)]


@pytest.fixture
def clinic(database_url: str, tmp_path: Path) -> Any:
    yield from clinic_at(tmp_path, database_url)


def test_a_worker_judges_what_comes_while_it_comes(clinic: Clinic, tmp_path: Path) -> None:
    port, rng = free_port(), np.random.default_rng(0)
    with clinic.api(port), clinic.worker():
        w = watch(f"http://127.0.0.1:{port}", tmp_path, real=points(0), objective="bce")
        for epoch in (1, 2):
            for _ in range(150):
                w.step(d_loss_real=rng.normal(0.65, 0.03), d_loss_fake=rng.normal(0.66, 0.03), g_loss=0.75)
            w.epoch(samples=points(epoch))
            assert w.wait(60).epoch == epoch
        w.end()
        run = clinic.wait_for_end(str(w.run_id))
    assert (run.status, run.epochs_done, run.error, w.verdict.severity) == ("succeeded", 2, None, "none")


TRAINER = """
import sys, time, ganclinic
w = ganclinic.watch("toy", url=sys.argv[1], token=sys.argv[2], folder=sys.argv[3], steps_per_epoch=400)
for i in range(int(sys.argv[4])):
    w.step(g_loss=float(i))
    time.sleep(0.001)
w.end(timeout_s=60)
"""


def trainer(port: int, folder: Path, steps: int) -> subprocess.Popen[bytes]:
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", textwrap.dedent(TRAINER), url, TOKEN, str(folder), str(steps)]
    return subprocess.Popen(command, cwd=CHECKOUT)


def test_outages_of_the_service_lose_and_double_nothing(clinic: Clinic, tmp_path: Path) -> None:
    port, steps = free_port(), 6000
    process = trainer(port, tmp_path / "kept", steps)  # begins before anybody listens
    try:
        for _ in range(3):
            with clinic.api(port) as (api, _):
                time.sleep(1.0)
                api.kill()
                api.wait()
            time.sleep(0.7)
        with clinic.api(port):
            assert process.wait(90) == 0
    finally:
        process.kill()
        process.wait()
    with reading(clinic.engine) as session:
        (watched_run,) = session.scalars(select(WatchRow)).all()
    assert stored(clinic.engine, watched_run.run_id) == [float(i) for i in range(steps)]
    assert (watched_run.steps, watched_run.epochs, watched_run.ending) == (steps, 15, "succeeded")


def test_of_a_killed_trainer_everything_that_it_kept_is_synced(clinic: Clinic, tmp_path: Path) -> None:
    port, kept = free_port(), tmp_path / "kept"
    with clinic.api(port):
        process = trainer(port, kept, 10**6)
        try:
            while not (found := list(kept.glob("*/messages"))) or found[0].stat().st_size < 20_000:
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
        with Client(f"http://127.0.0.1:{port}", TOKEN) as client:
            (told,) = client.sync(kept)
    assert (told.error, told.is_whole) == (None, False)
    values = stored(clinic.engine, str(told.run_id))
    assert values == [float(i) for i in range(len(values))]
    assert len(values) > 500
