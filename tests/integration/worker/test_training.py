"""The training process's work in this process: what it records, and how it resumes."""

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from ganlib.data.load import DatasetUnavailable
from store.core.db import make_engine, transaction, upgrade
from store.core.errors import DatabaseUnavailable, LeaseLost
from store.runs import endings, records
from tests.support.scene import Scene
from tests.support.servers import PostgresServer
from tests.support.store import expire_lease
from worker.attempt import training
from worker.attempt.device import DeviceUnavailable
from worker.attempt.recorder import persist


def test_a_training_records_all_its_epochs_and_its_success(scene: Scene) -> None:
    run_id = scene.create_run()
    told = scene.train(scene.claim())
    run = scene.clinic.run(run_id)
    assert (run.status, run.epochs_done, run.step) == ("succeeded", 5, 20)
    assert run.verdict is not None
    numbers = scene.clinic.numbers(run_id)
    assert [epoch for epoch, *_ in numbers["epochs"]] == [1, 2, 3, 4, 5]
    assert [document["epoch"] for document in numbers["evaluations"]] == [0, 2, 4, 5]
    assert [document["epoch"] for document in numbers["diagnoses"]] == [1, 2, 3, 4, 5]
    assert [epoch for epoch, _ in numbers["samples"]] == [1, 2, 3, 4, 5]
    assert [event["step"] for event in told if event["event"] == "stepped"][-1] == 20


@pytest.mark.parametrize("commit", range(1, 7))
def test_a_commit_whose_answer_is_lost_costs_no_attempt(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, commit: int
) -> None:
    """The first is that of the attempt's beginning, the last that of its last epoch and of success."""
    commits = itertools.count(1)

    @contextlib.contextmanager
    def lossy(engine: Engine) -> Iterator[Session]:
        with transaction(engine) as session:
            yield session
        if next(commits) == commit:
            raise DatabaseUnavailable("the connection was lost while it committed")

    monkeypatch.setattr("worker.attempt.recorder.transaction", lossy)
    run_id = scene.create_run()
    scene.train(scene.claim())
    assert next(commits) == 8  # one more than without the loss
    run = scene.clinic.run(run_id)
    assert (run.status, run.epochs_done, run.step) == ("succeeded", 5, 20)
    assert [attempt.outcome for attempt in scene.clinic.attempts(run_id)] == ["succeeded"]
    assert [epoch for epoch, *_ in scene.clinic.numbers(run_id)["epochs"]] == [1, 2, 3, 4, 5]
    assert scene.checkpoints(run_id) == ["attempt-1-epoch-4.safetensors", "attempt-1-epoch-5.safetensors"]


def test_only_what_is_written_takes_the_write_lock(scene: Scene) -> None:
    scene.create_run()
    ticket, begun = scene.claim(), list[str]()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        begun.extend([statement] if statement.startswith("BEGIN") else [])

    event.listen(scene.engine, "before_cursor_execute", note)
    scene.train(ticket)
    assert begun.count("BEGIN IMMEDIATE") == 1 + 5  # the attempt's beginning, and each epoch


def test_an_attempt_that_lost_its_lease_before_it_began_changes_nothing(scene: Scene) -> None:
    run_id = scene.create_run()
    stale = scene.claim()
    lose_lease(scene, run_id)
    scene.interrupt(scene.claim(), 11)
    before = scene.clinic.numbers(run_id)
    with pytest.raises(LeaseLost):
        scene.train(stale)
    assert scene.clinic.numbers(run_id) == before
    assert scene.clinic.run(run_id).status == "queued"


def test_an_attempt_that_loses_its_lease_in_an_epoch_does_not_record_it(scene: Scene) -> None:
    run_id = scene.create_run()
    with pytest.raises(LeaseLost):
        scene.train(scene.claim(), at_step=11, interrupt=lambda: lose_lease(scene, run_id))
    assert [epoch.epoch for epoch in scene.clinic.epochs(run_id)] == [1, 2]
    assert scene.clinic.run(run_id).status == "queued"


def test_what_is_recorded_waits_for_a_database_that_is_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []

    def write(_: Session) -> str:
        tries.append(0)
        if len(tries) < 4:
            raise DatabaseUnavailable("away")
        return "written"

    pauses: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda s: pauses.append(s) if s >= 1 else sleep(s))  # a library's are shorter
    assert persist(scene.engine, write) == "written"
    assert pauses == [1, 2, 4]


def test_a_training_that_begins_while_the_database_is_away_waits_for_it(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(postgres_url)
    upgrade(engine)
    scene = Scene(engine, tmp_path)
    run_id = scene.create_run()
    ticket = scene.claim()
    pauses: list[float] = []

    def leave() -> None:
        engine.dispose()
        postgres_server.let_in(postgres_url, False)

    def come_back(pause_s: float) -> None:
        if pause_s < 1:  # of a library, or of another thread
            return sleep(pause_s)
        pauses.append(pause_s)
        postgres_server.let_in(postgres_url, True)
        return None

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", come_back)
    leave()
    assert training._kind(engine, run_id) == "training"
    leave()
    scene.train(ticket)
    assert pauses == [1, 1]
    assert scene.clinic.run(run_id).status == "succeeded"
    engine.dispose()


def lose_lease(scene: Scene, run_id: str) -> None:
    with transaction(scene.engine) as session:
        expire_lease(session, run_id)
        assert endings.requeue_expired(session, 3) == [run_id]


def test_without_its_data_a_run_does_not_begin(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    scene.settings = scene.settings.model_copy(update={"data_dir": tmp_path / "file" / "data"})
    images = {"generator": {"family": "deconv", "width": 8}, "discriminator": {"family": "conv", "width": 8}}
    run_id = scene.create_run(dataset={"name": "mnist"}, **images)
    with pytest.raises(DatasetUnavailable, match=r"--set dataset\.name=mnist-5k"):
        scene.train(scene.claim())
    assert scene.clinic.run(run_id).step == 0


def test_a_spec_that_wants_a_gpu_does_not_train_without(scene: Scene) -> None:
    scene.create_run(**{"resources.device": "cuda"})
    with pytest.raises(DeviceUnavailable, match=r"--set resources\.device=auto"):
        scene.train(scene.claim())


def test_losses_that_are_not_finite_are_recorded(scene: Scene) -> None:
    run_id = scene.create_run(**{"optimizer.learning_rate": 10, "training.epochs": 2})
    scene.train(scene.claim())
    assert scene.clinic.run(run_id).status == "succeeded"
    with transaction(scene.engine) as session:
        assert records.history(session, run_id).steps.shape == (8, 8)
