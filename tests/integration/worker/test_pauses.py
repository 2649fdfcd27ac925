"""Pausing while a training runs: its epoch is ended and kept, and what follows is what an undisturbed run computes."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ganlib.training.checkpoint import CheckpointUnreadable
from store.core.db import make_engine, transaction, upgrade
from store.runs import extensions, pauses
from store.scheduling import workers
from store.scheduling.workers import EVERY_WORKER
from tests.integration.worker import test_supervise as supervised
from tests.support.scene import Scene
from tests.support.worker import Clinic, clinic_at

LONG = {"training.epochs": 2000, "training.checkpoint_every_epochs": 1000}


@pytest.fixture
def scene(sqlite_url: str, tmp_path: Path) -> Iterator[Scene]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield Scene(engine, tmp_path)
    engine.dispose()


@pytest.mark.parametrize("step", [1, 6, 11, 14])
def test_a_paused_and_resumed_training_gives_the_numbers_of_an_undisturbed_one(scene: Scene, step: int) -> None:
    undisturbed, disturbed = scene.create_run(), scene.create_run()
    scene.train(scene.claim())

    def pause() -> None:
        with transaction(scene.engine) as session:
            pauses.pause(session, disturbed)

    scene.train(scene.claim(), at_step=step, interrupt=pause)
    run = scene.clinic.run(disturbed)
    epoch = (step - 1) // 4 + 1  # the one in which it was asked for
    assert (run.status, run.epochs_done, run.lease_worker) == ("paused", epoch, None)
    assert scene.clinic.epochs(disturbed)[-1].checkpoint == f"attempt-1-epoch-{epoch}.safetensors"
    with transaction(scene.engine) as session:
        pauses.resume(session, disturbed)
    scene.train(scene.claim())
    assert scene.clinic.run(disturbed).status == "succeeded"
    assert scene.clinic.numbers(disturbed) == scene.clinic.numbers(undisturbed)
    first, second = scene.clinic.attempts(disturbed)
    assert (first.outcome, second.resumed_from_epoch, second.identical) == ("paused", epoch, True)


def test_a_pause_in_the_last_epoch_comes_too_late(scene: Scene) -> None:
    run_id = scene.create_run()

    def pause() -> None:
        with transaction(scene.engine) as session:
            pauses.pause(session, run_id)

    scene.train(scene.claim(), at_step=18, interrupt=pause)
    run = scene.clinic.run(run_id)
    assert (run.status, run.pause_requested) == ("succeeded", False)


def test_a_pause_that_is_called_off_in_time_changes_nothing(scene: Scene) -> None:
    run_id = scene.create_run()

    def pause_and_resume() -> None:
        with transaction(scene.engine) as session:
            pauses.pause(session, run_id)
            pauses.resume(session, run_id)

    scene.train(scene.claim(), at_step=6, interrupt=pause_and_resume)
    assert scene.clinic.run(run_id).status == "succeeded"
    assert [attempt.outcome for attempt in scene.clinic.attempts(run_id)] == ["succeeded"]


# --- the worker -------------------------------------------------------------------------------------------------


def ask_to_pause(scene: supervised.Scene) -> None:
    with transaction(scene.engine) as session:
        pauses.pause(session, scene.claim.run_id)


def test_an_epoch_that_is_too_long_is_not_waited_for(engine: Engine, tmp_path: Path) -> None:
    scene = supervised.Scene(engine, tmp_path, pause_patience=timedelta(seconds=0.2))
    scene.start("step(1)\nsys.stdin.readline()  # told to stop")
    scene.wait_for_step(1)
    ask_to_pause(scene)
    run = scene.wait()
    assert (run.status, run.pause_requested) == ("paused", False)
    assert scene.attempt().outcome == "handed over"


def test_a_training_is_given_the_time_to_end_its_epoch(engine: Engine, tmp_path: Path) -> None:
    scene = supervised.Scene(engine, tmp_path, stall_minimum=timedelta(seconds=30))
    scene.start("step(1)\nsys.stdin.readline()\ntell(event='failed', kind='Told', error='too early')")
    scene.wait_for_step(1)
    ask_to_pause(scene)
    before = scene.run().lease_expires_at
    while scene.run().lease_expires_at == before:  # the worker has heard of it
        time.sleep(0.01)
    assert scene.run().status == "running"
    with transaction(engine) as session:
        pauses.resume(session, scene.claim.run_id)
    scene.stopping.set()
    assert scene.wait().error_kind == "Told"  # by the stop of its worker alone


def test_a_cancel_ends_a_training_that_is_to_pause(engine: Engine, tmp_path: Path) -> None:
    scene = supervised.Scene(engine, tmp_path)
    scene.start("step(1)\nsys.stdin.readline()")
    scene.wait_for_step(1)
    ask_to_pause(scene)
    scene.cancel()
    assert scene.wait().status == "cancelled"


# --- real processes ---------------------------------------------------------------------------------------------


@pytest.fixture
def clinic(database_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, database_url)


def test_a_paused_run_frees_its_worker_for_another_and_goes_on_later(clinic: Clinic) -> None:
    with clinic.worker():
        first = clinic.create_run(**LONG)
        clinic.wait_for_epoch(first, 1)
        second = clinic.create_run()
        with transaction(clinic.engine) as session:
            pauses.pause(session, first)
        assert clinic.wait_for_end(second).status == "succeeded"
        paused = clinic.run(first)
        assert paused.status == "paused"
        with transaction(clinic.engine) as session:
            pauses.resume(session, first)
        clinic.wait_for_epoch(first, paused.epochs_done + 1)
        with transaction(clinic.engine) as session:
            workers.drain(session, EVERY_WORKER)
            pauses.pause(session, first)
        clinic.wait_until(first, lambda run: run.status == "paused")
        with transaction(clinic.engine) as session:
            (worker,) = workers.list_workers(session)
            assert (worker.is_alive, worker.is_drained, worker.run_id) == (True, True, None)
    assert [attempt.outcome for attempt in clinic.attempts(first)] == ["paused", "paused"]
    with transaction(clinic.engine) as session:
        assert workers.list_workers(session) == []


# --- extending --------------------------------------------------------------------------------------------------


def test_an_extended_training_makes_the_steps_of_a_longer_one(scene: Scene) -> None:
    longer = scene.create_run(**{"training.epochs": 8})
    extended = scene.create_run(**{"training.epochs": 2})
    scene.train(scene.claim())
    scene.train(scene.claim())
    for epochs in (1, 5):
        with transaction(scene.engine) as session:
            extensions.extend(session, extended, epochs)
        scene.train(scene.claim())
    run = scene.clinic.run(extended)
    assert (run.status, run.epochs_done, run.epochs_total, run.extended_from) == ("succeeded", 8, 8, [2, 3])
    numbers, expected = scene.clinic.numbers(extended), scene.clinic.numbers(longer)
    assert numbers["steps"] == expected["steps"]
    assert numbers["samples"] == expected["samples"]
    assert [attempt.resumed_from_epoch for attempt in scene.clinic.attempts(extended)] == [None, 2, 3]
    assert [attempt.identical for attempt in scene.clinic.attempts(extended)] == [None, True, True]


def test_an_extended_run_without_its_checkpoint_fails_and_keeps_what_it_has_recorded(clinic: Clinic) -> None:
    extended = clinic.create_run(**{"training.epochs": 2})
    with clinic.worker():
        clinic.wait_for_end(extended)
        recorded = clinic.numbers(extended)
        checkpoint = clinic.home / "checkpoints" / extended / "attempt-1-epoch-2.safetensors"
        away = checkpoint.rename(clinic.home / "away")
        with transaction(clinic.engine) as session:
            extensions.extend(session, extended, 2)
        run = clinic.wait_for_end(extended)
        assert (run.status, run.error_kind, run.epochs_done) == ("failed", "CheckpointUnreadable", 2)
        assert f"put attempt-1-epoch-2.safetensors back into the folder {extended} of the checkpoints" in str(run.error)
        assert clinic.numbers(extended) == recorded
        away.rename(checkpoint)
        with transaction(clinic.engine) as session:
            extensions.extend(session, extended, 2)
        run = clinic.wait_for_end(extended)
    assert (run.status, run.epochs_done, run.error) == ("succeeded", 4, None)
    assert clinic.numbers(extended)["epochs"][:2] == recorded["epochs"]
    ends = [(attempt.outcome, attempt.resumed_from_epoch) for attempt in clinic.attempts(extended)]
    assert ends == [("succeeded", None), ("failed", None), ("succeeded", 2)]


@pytest.mark.parametrize(("left", "resumed_from"), [([2, 4], 4), ([2], 2), ([], None)])
def test_an_extended_training_goes_back_to_its_former_end_and_no_further(
    scene: Scene, left: list[int], resumed_from: int | None
) -> None:
    scene.settings = scene.settings.model_copy(update={"keep_checkpoints": 9})
    extended = scene.create_run(**{"training.epochs": 2, "training.checkpoint_every_epochs": 1})
    scene.train(scene.claim())
    with transaction(scene.engine) as session:
        extensions.extend(session, extended, 4)
    scene.interrupt(scene.claim(), step=18)  # in the fifth epoch
    before = scene.clinic.numbers(extended)
    for path in (scene.settings.checkpoints / extended).iterdir():
        if int(path.stem.rpartition("-")[2]) not in (1, *left):
            path.unlink()
    if resumed_from is None:
        with pytest.raises(CheckpointUnreadable, match="extended after epoch 2, and no checkpoint from there on can"):
            scene.train(scene.claim())
        assert scene.clinic.numbers(extended) == before
    else:
        scene.train(scene.claim())
        assert scene.clinic.run(extended).status == "succeeded"
        assert scene.clinic.attempts(extended)[-1].resumed_from_epoch == resumed_from
