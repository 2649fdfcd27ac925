"""Giving way while a training runs: its epoch is kept, and what follows is what an undisturbed run computes."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from store.core.db import make_engine, transaction, upgrade
from store.core.models import Run
from store.core.settings import Settings
from store.runs.lifecycle import create, get
from store.scheduling import preemption
from tests.integration.worker import test_supervise as supervised
from tests.support.scene import Scene
from tests.support.store import claim_run, create_run, request
from tests.support.worker import Clinic, claim_next, clinic_at, train_here
from worker.host.preemption import Preemption

HOUR = timedelta(hours=1)
NO_TIME = timedelta(microseconds=1)
EAGER = {"GANCLINIC_PREEMPTION": "true", "GANCLINIC_PREEMPTION_PATIENCE": "0.1"}
LONG = {"training.epochs": 24, "training.checkpoint_every_epochs": 1000}


@pytest.fixture
def scene(sqlite_url: str, tmp_path: Path) -> Iterator[Scene]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield Scene(engine, tmp_path)
    engine.dispose()


def raise_priority(engine: Engine, run_id: str) -> None:
    with transaction(engine) as session:
        session.execute(update(Run).where(Run.id == run_id).values(priority=5, created_at=1.0))


def ask(engine: Engine) -> None:
    with transaction(engine) as session:
        assert preemption.ask(session, patience=NO_TIME, rest=HOUR) is not None


@pytest.mark.parametrize("step", [1, 6, 11, 14])
def test_a_training_that_gave_way_gives_the_numbers_of_an_undisturbed_one(scene: Scene, step: int) -> None:
    undisturbed, disturbed = scene.create_run(), scene.create_run()
    scene.train(scene.claim())
    ticket = scene.claim()
    urgent = scene.create_run()
    raise_priority(scene.engine, urgent)
    scene.train(ticket, at_step=step, interrupt=lambda: ask(scene.engine))
    epoch = (step - 1) // 4 + 1  # the one in which it was asked
    run = scene.clinic.run(disturbed)
    assert (run.status, run.epochs_done) == ("queued", epoch)
    assert scene.clinic.epochs(disturbed)[-1].checkpoint == f"attempt-1-epoch-{epoch}.safetensors"
    for expected in (urgent, disturbed):
        scene.train(scene.claim())
        assert scene.clinic.run(expected).status == "succeeded"
    assert scene.clinic.numbers(disturbed) == scene.clinic.numbers(undisturbed)
    first, second = scene.clinic.attempts(disturbed)
    assert (first.outcome, second.resumed_from_epoch, second.identical) == ("gave way", epoch, True)


def test_an_epoch_that_is_too_long_is_not_waited_for(engine: Engine, tmp_path: Path) -> None:
    scene = supervised.Scene(engine, tmp_path, pause_patience=timedelta(seconds=0.2))
    with transaction(engine) as session:
        wanted = request()
        urgent = create(session, wanted, wanted.resolve(), priority=5)
        urgent.created_at -= 100
    scene.start("step(1)\nsys.stdin.readline()  # told to stop")
    scene.wait_for_step(1)
    ask(engine)
    run = scene.wait()
    assert (run.status, run.gives_way_to) == ("queued", None)
    assert scene.attempt().outcome == "gave way"


@pytest.fixture
def clinic(database_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, database_url)


def test_a_worker_lets_a_run_give_way_and_takes_it_up_again(clinic: Clinic) -> None:
    undisturbed = clinic.create_run(**LONG)
    here = Settings(home=clinic.home, device="cpu", threads=1)
    train_here(claim_next(clinic.engine), engine=clinic.engine, settings=here)
    disturbed = clinic.create_run(**LONG)
    with clinic.worker(**EAGER):
        clinic.wait_for_epoch(disturbed, 1)
        urgent = clinic.create_run(priority=1, **{"training.epochs": 1})
        assert clinic.wait_for_end(urgent).status == "succeeded"
        assert clinic.run(disturbed).finished_at is None
        assert clinic.wait_for_end(disturbed).status == "succeeded"
    assert [attempt.outcome for attempt in clinic.attempts(disturbed)] == ["gave way", "succeeded"]
    assert clinic.numbers(disturbed) == clinic.numbers(undisturbed)


def test_nothing_gives_way_unless_the_service_wants_it(sqlite_engine: Engine, tmp_path: Path) -> None:
    eager = Settings(home=tmp_path, preemption_patience=NO_TIME, heartbeat_interval=timedelta(seconds=0.02))
    with transaction(sqlite_engine) as session:
        low = create_run(session)
        claim_run(session)
        create_run(session, priority=5)
    for wanted in (False, True):
        looking = Preemption(engine=sqlite_engine, settings=eager.model_copy(update={"preemption": wanted}))
        looking.start()
        time.sleep(0.3)
        looking.stop()
        with transaction(sqlite_engine) as session:
            assert (get(session, low.id).gives_way_to is not None) is wanted
