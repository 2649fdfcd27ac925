"""Runs that may be trained for so long and no longer: what counts, how they end, and how they go on."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from ganlib.training.checkpoint import CheckpointUnreadable
from store.core.db import make_engine, transaction, upgrade
from store.core.errors import NotExtendable
from store.core.models import Attempt, Epoch, Run
from store.runs import claims, endings, extensions, leases, pauses
from store.runs.attempts import TIME_LIMIT, seconds_left
from store.runs.lifecycle import create, get
from store.runs.recording import record_epoch
from tests.integration.worker import test_supervise as supervised
from tests.support.scene import Scene
from tests.support.sharing import began_ago
from tests.support.store import LEASE, claim_run, create_run, epoch_record, outcomes, request
from tests.support.worker import Clinic, clinic_at

HOUR = 3600.0
SECOND_H = 1 / 3600


def create_limited(session: Session, hours: float = 1) -> str:
    """A queued run that may be trained for so long."""
    wanted = request(None, **{"resources.max_hours": hours})
    return create(session, wanted, wanted.resolve()).id


def train_for(session: Session, run_id: str, seconds: float) -> claims.Claim:
    """An attempt that began so long ago and runs."""
    claimed = claim_run(session)
    assert claimed.run_id == run_id
    attempt = update(Attempt).where(Attempt.run_id == run_id, Attempt.number == claimed.attempt)
    session.execute(attempt.values(started_at=Attempt.started_at - seconds))
    return claimed


def left(session: Session, run_id: str) -> float:
    """Seconds for which it may still be trained."""
    seconds = seconds_left(session, get(session, run_id))
    assert seconds is not None
    return seconds


def test_the_time_of_all_attempts_counts_however_they_ended_and_none_of_the_queue(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_limited(session)
        assert left(session, run_id) == HOUR
        claimed = train_for(session, run_id, 1000)
        assert left(session, run_id) == pytest.approx(2600, abs=60)
        endings.hand_over(session, run_id, claimed.token)
        session.execute(update(Run).where(Run.id == run_id).values(created_at=Run.created_at - 10 * HOUR))
        claimed = train_for(session, run_id, 1500)
        endings.requeue(session, run_id, claimed.token, error="killed", error_kind="TrainingDied", max_attempts=3)
        assert left(session, run_id) == pytest.approx(1100, abs=60)
        train_for(session, run_id, 2000)
        assert left(session, run_id) == pytest.approx(-900, abs=60)


def test_a_run_without_a_limit_has_all_the_time(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        claimed = train_for(session, run_id, 1000 * HOUR)
        assert leases.renew(session, run_id, claimed.token, LEASE).seconds_left is None
        assert not endings.is_out_of_time(session, get(session, run_id))


@pytest.mark.parametrize("how", ["handed over", "lost", "paused"])
def test_a_run_whose_time_is_used_up_is_not_trained_again(engine: Engine, how: str) -> None:
    with transaction(engine) as session:
        run_id = create_limited(session)
        claimed = train_for(session, run_id, HOUR + 1)
        if how == "lost":
            endings.requeue(session, run_id, claimed.token, error="killed", error_kind="TrainingDied", max_attempts=3)
        else:
            if how == "paused":
                pauses.pause(session, run_id)
            endings.hand_over(session, run_id, claimed.token)
        if how == "paused":
            pauses.resume(session, run_id)
        other = create_run(session).id
        claimed = claims.claim(session, "worker-1", LEASE)
        assert claimed is not None
        assert claimed.run_id == other
        run = get(session, run_id)
        assert (run.status, run.error_kind, run.lease_worker) == ("failed", TIME_LIMIT, None)
        assert str(run.error).startswith("the run has been trained for the 1 h that resources.max_hours allows")
        assert outcomes(session, run_id)[-1] == "failed"


def test_an_extension_counts_anew(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_limited(session)
        claimed = train_for(session, run_id, 2 * HOUR)
        record_epoch(session, epoch_record(claimed, 1))
        endings.time_out(session, run_id, claimed.token)
        run = extensions.extend(session, run_id, 2)
        assert (run.status, run.error_kind, run.epochs_done, run.epochs_total) == ("queued", None, 1, 3)
        assert left(session, run_id) == HOUR
        assert claim_run(session).run_id == run_id


def test_a_run_that_was_out_of_time_before_its_first_checkpoint_is_not_extended(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_limited(session)
        claimed = train_for(session, run_id, 2 * HOUR)
        record_epoch(session, epoch_record(claimed, 1, checkpoint=None))
        endings.time_out(session, run_id, claimed.token)
        with pytest.raises(NotExtendable, match="it has no checkpoint"):
            extensions.extend(session, run_id, 1)


@pytest.mark.parametrize(
    ("outcomes", "epochs", "after"),
    [
        (["lost", "running"], [(1, 1, True)], 0),
        (["failed", "running"], [(1, 1, True), (2, 1, False)], 1),  # it was not given the time for epoch 3
        (["succeeded", "running"], [(1, 1, True), (2, 1, False)], 2),  # a checkpoint was deleted since
        (["succeeded", "lost", "failed", "running"], [(1, 1, True), (2, 2, True)], 1),  # none was there to begin with
        (["succeeded", "failed", "running"], [(1, 1, True), (2, 2, True), (3, 3, True)], 2),
    ],
)
def test_training_goes_back_as_far_as_to_the_checkpoint_that_the_run_was_extended_from(
    outcomes: list[str], epochs: list[tuple[int, int, bool]], after: int
) -> None:
    attempts = [Attempt(number=number, outcome=outcome) for number, outcome in enumerate(outcomes, 1)]
    recorded = [Epoch(epoch=epoch, attempt=by, checkpoint="it" if saved else None) for epoch, by, saved in epochs]
    assert extensions.extended_after(attempts, recorded) == after


# --- the training -----------------------------------------------------------------------------------------------


@pytest.fixture
def scene(sqlite_url: str, tmp_path: Path) -> Iterator[Scene]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield Scene(engine, tmp_path)
    engine.dispose()


def run_out_of_time(scene: Scene, run_id: str, step: int) -> None:
    """An attempt of the run whose time is used up in that step."""

    def spend() -> None:
        with transaction(scene.engine) as session:
            began_ago(session, run_id, 2 * HOUR)

    scene.train(scene.claim(), at_step=step, interrupt=spend)


def test_a_run_out_of_time_ends_with_its_epoch_and_extended_is_as_if_it_had_never_ended(scene: Scene) -> None:
    falling = {"optimizer.schedule": {"kind": "linear"}}  # by the number of epochs, which stays what it was
    undisturbed = scene.create_run(**falling)
    limited = scene.create_run(**falling, **{"resources.max_hours": 1})
    scene.train(scene.claim())
    run_out_of_time(scene, limited, step=10)
    run = scene.clinic.run(limited)
    assert (run.status, run.error_kind, run.epochs_done, run.lease_worker) == ("failed", TIME_LIMIT, 3, None)
    assert scene.clinic.epochs(limited)[-1].checkpoint == "attempt-1-epoch-3.safetensors"
    with transaction(scene.engine) as session:
        with pytest.raises(NotExtendable, match=r"optimizer\.schedule is 'linear'"):
            extensions.extend(session, limited, 3)
        extensions.extend(session, limited, 2)
    scene.train(scene.claim())
    assert scene.clinic.run(limited).status == "succeeded"
    assert scene.clinic.numbers(limited) == scene.clinic.numbers(undisturbed)
    first, second = scene.clinic.attempts(limited)
    assert (first.outcome, second.resumed_from_epoch, second.identical) == ("failed", 3, True)


def test_a_run_whose_time_is_used_up_in_its_last_epoch_succeeds(scene: Scene) -> None:
    run_id = scene.create_run(**{"resources.max_hours": 1})
    run_out_of_time(scene, run_id, step=18)
    run = scene.clinic.run(run_id)
    assert (run.status, run.epochs_done, run.error) == ("succeeded", 5, None)


def test_an_extended_run_never_goes_back_behind_the_end_of_its_time(scene: Scene) -> None:
    run_id = scene.create_run(**{"resources.max_hours": 1})
    run_out_of_time(scene, run_id, step=10)
    before = scene.clinic.numbers(run_id)
    with transaction(scene.engine) as session:
        extensions.extend(session, run_id, 2)
    (scene.settings.checkpoints / run_id / "attempt-1-epoch-3.safetensors").unlink()
    with pytest.raises(CheckpointUnreadable, match=r"put attempt-1-epoch-3\.safetensors back"):
        scene.train(scene.claim())
    assert scene.clinic.numbers(run_id) == before


# --- the worker -------------------------------------------------------------------------------------------------


def test_an_epoch_that_is_too_long_is_not_waited_for(engine: Engine, tmp_path: Path) -> None:
    with transaction(engine) as session:
        run_id = create_limited(session, SECOND_H)
    scene = supervised.Scene(engine, tmp_path, pause_patience=timedelta(seconds=0.2), stall_minimum=timedelta(hours=1))
    run = scene.train("step(1)\nsys.stdin.readline()  # told to stop")
    assert (run.id, run.status, run.error_kind) == (run_id, "failed", TIME_LIMIT)
    attempt = scene.attempt()
    assert attempt.ended_at is not None
    assert (attempt.outcome, attempt.ended_at - attempt.started_at >= 1.2) == ("failed", True)


def test_a_training_past_its_time_may_end_its_epoch(engine: Engine, tmp_path: Path) -> None:
    with transaction(engine) as session:
        create_limited(session, SECOND_H)
    scene = supervised.Scene(engine, tmp_path, stall_minimum=timedelta(hours=1))
    run = scene.train("step(1); time.sleep(1.5); tell(event='failed', kind='Ended', error='by itself')")
    assert run.error_kind == "Ended"


# --- real processes ---------------------------------------------------------------------------------------------


@pytest.fixture
def clinic(database_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, database_url)


def test_a_run_fails_at_the_end_of_its_time_keeps_its_files_and_goes_on(clinic: Clinic) -> None:
    long: dict[str, Any] = {
        "training.epochs": 2000,
        "training.checkpoint_every_epochs": 1000,
        "resources.max_hours": SECOND_H,
    }
    run_id = clinic.create_run(**long)
    with clinic.worker():
        run = clinic.wait_for_end(run_id)
        assert (run.status, run.error_kind) == ("failed", TIME_LIMIT)
        done, recorded = run.epochs_done, clinic.numbers(run_id)
        assert done >= 1
        assert (clinic.home / "checkpoints" / run_id / f"attempt-1-epoch-{done}.safetensors").exists()
        with transaction(clinic.engine) as session:
            extensions.extend(session, run_id, 1)
        run = clinic.wait_for_end(run_id)
    assert (run.status, run.epochs_done, run.error) == ("succeeded", done + 1, None)
    assert clinic.numbers(run_id)["epochs"][:done] == recorded["epochs"]
    ends = [(attempt.outcome, attempt.resumed_from_epoch) for attempt in clinic.attempts(run_id)]
    assert ends == [("failed", None), ("succeeded", done)]
