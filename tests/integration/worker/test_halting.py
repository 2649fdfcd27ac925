"""Runs that their own diagnosis ends."""

from typing import Any

import pytest
from sqlalchemy import update

from store.core.db import transaction
from store.core.models import DiagnosisRow
from store.runs.rediagnosis import rediagnose
from tests.support.scene import Scene
from tests.support.store import diagnosis


def diverging(**watch: Any) -> dict[str, Any]:
    """Steps so large that losses blow up in the first epoch, checkpoints that are never due, and what halts it."""
    steps = {"name": "sgd", "learning_rate": 10}
    changes = {"objective.name": "lsgan", "optimizer": steps, "training.checkpoint_every_epochs": 100}
    return {**changes, "diagnosis": watch}


def test_a_run_is_halted_once_a_severe_finding_has_held_for_long_enough(scene: Scene) -> None:
    run_id = scene.create_run(**diverging(halt_on=["divergence"], halt_after_epochs=2))
    scene.train(scene.claim())
    run = scene.clinic.run(run_id)
    assert (run.status, run.verdict, run.first_epoch_seen) == ("halted", "divergence", 1)
    assert (run.epochs_done, run.step, run.finished_at is None, run.error) == (2, 8, False, None)
    assert [attempt.outcome for attempt in scene.clinic.attempts(run_id)] == ["halted"]
    assert [document["epoch"] for document in scene.clinic.numbers(run_id)["diagnoses"]] == [1, 2]


def test_a_halted_run_keeps_a_checkpoint_of_its_last_epoch(scene: Scene) -> None:
    run_id = scene.create_run(**diverging(halt_on=["divergence"], halt_after_epochs=2))
    scene.train(scene.claim())
    assert [epoch.checkpoint for epoch in scene.clinic.epochs(run_id)] == [None, "attempt-1-epoch-2.safetensors"]
    assert scene.checkpoints(run_id) == ["attempt-1-epoch-2.safetensors"]


@pytest.mark.parametrize("watch", [{}, {"halt_on": ["mode collapse"], "halt_after_epochs": 1}])
def test_a_run_is_not_halted_by_what_it_does_not_name(scene: Scene, watch: dict[str, Any]) -> None:
    run_id = scene.create_run(**diverging(**watch))
    scene.train(scene.claim())
    run = scene.clinic.run(run_id)
    assert (run.status, run.verdict, run.epochs_done) == ("succeeded", "divergence", 5)


def test_a_finding_that_halts_with_the_last_epoch_changes_nothing(scene: Scene) -> None:
    run_id = scene.create_run(**diverging(halt_on=["divergence"], halt_after_epochs=5))
    scene.train(scene.claim())
    assert (scene.clinic.run(run_id).status, scene.clinic.run(run_id).epochs_done) == ("succeeded", 5)


def test_epochs_before_a_resume_count_towards_a_halt(scene: Scene) -> None:
    watch = diverging(halt_on=["divergence"], halt_after_epochs=3)
    run_id = scene.create_run(**watch | {"training.checkpoint_every_epochs": 1})
    scene.interrupt(scene.claim(), step=7)
    scene.train(scene.claim())
    run = scene.clinic.run(run_id)
    assert (run.status, run.epochs_done, run.first_epoch_seen) == ("halted", 3, 1)
    assert [attempt.outcome for attempt in scene.clinic.attempts(run_id)] == ["handed over", "halted"]


def test_a_stored_run_diagnosed_again_by_the_same_rules_hears_what_its_training_said(scene: Scene) -> None:
    run_id = scene.create_run(**{"training.epochs": 3, "training.steps_per_epoch": 60})
    scene.train(scene.claim())
    said = scene.clinic.numbers(run_id)["diagnoses"]
    with transaction(scene.engine) as session:
        session.execute(update(DiagnosisRow).values(ruleset="an older one", document=diagnosis(1).to_json()))
    rediagnose(scene.engine, run_id)
    assert scene.clinic.numbers(run_id)["diagnoses"] == said
    assert {document["epoch"] for document in said} == {1, 2, 3}
