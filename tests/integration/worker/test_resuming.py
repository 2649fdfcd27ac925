"""How an attempt goes on where another one ended, and what it says of where it runs."""

from typing import Any

import pytest

from store.core.db import transaction
from store.runs import lifecycle
from tests.support.scene import Scene


def test_an_attempt_says_what_it_ran_on(scene: Scene) -> None:
    run_id = scene.create_run()
    scene.train(scene.claim())
    (attempt,) = scene.clinic.attempts(run_id)
    assert (attempt.device, attempt.threads) == ("cpu", 1)
    assert attempt.cpu_capability
    assert {"torch", "numpy"} <= set(attempt.versions or {})
    assert (attempt.resumed_from_epoch, attempt.identical) == (None, None)


def test_only_the_last_two_checkpoints_that_the_database_names_are_kept(scene: Scene) -> None:
    run_id = scene.create_run()
    scene.train(scene.claim())
    named = [epoch.checkpoint for epoch in scene.clinic.epochs(run_id)]
    assert named[0] is None
    assert scene.checkpoints(run_id) == ["attempt-1-epoch-4.safetensors", "attempt-1-epoch-5.safetensors"]


@pytest.mark.parametrize("step", [2, 6, 11, 14, 20])
def test_a_resumed_training_gives_the_numbers_of_an_undisturbed_one(scene: Scene, step: int) -> None:
    undisturbed, disturbed = scene.create_run(), scene.create_run()
    scene.train(scene.claim())
    scene.interrupt(scene.claim(), step)
    resumed = scene.claim()
    scene.train(resumed)
    assert resumed.run_id == disturbed
    assert scene.clinic.numbers(disturbed) == scene.clinic.numbers(undisturbed)
    _, attempt = scene.clinic.attempts(disturbed)
    checkpoint = (step - 1) // 8 * 2  # epochs of 4 steps, a checkpoint every 2 epochs
    assert attempt.resumed_from_epoch == (checkpoint or None)
    assert attempt.identical == (True if checkpoint else None)


def test_a_checkpoint_that_cannot_be_read_costs_time_and_changes_nothing(scene: Scene) -> None:
    undisturbed, disturbed = scene.create_run(), scene.create_run()
    scene.train(scene.claim())
    scene.interrupt(scene.claim(), 18)
    newest = scene.settings.checkpoints / disturbed / "attempt-1-epoch-4.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    scene.train(scene.claim())
    assert scene.clinic.numbers(disturbed) == scene.clinic.numbers(undisturbed)
    assert scene.clinic.attempts(disturbed)[-1].resumed_from_epoch == 2


def test_a_resume_on_another_machine_is_marked(scene: Scene) -> None:
    run_id = scene.create_run()
    scene.interrupt(scene.claim(), 11)
    with transaction(scene.engine) as session:
        lifecycle.attempts(session, run_id)[0].cpu_capability = "VAX"
    scene.train(scene.claim())
    assert scene.clinic.attempts(run_id)[-1].identical is False


def test_a_resume_takes_as_many_threads_as_the_first_attempt(scene: Scene) -> None:
    run_id = scene.create_run()
    scene.interrupt(scene.claim(), 11)
    scene.settings = scene.settings.model_copy(update={"threads": 2})
    scene.train(scene.claim())
    assert [attempt.threads for attempt in scene.clinic.attempts(run_id)] == [1, 1]


def test_a_resume_in_the_precision_that_auto_took_at_first_is_bit_identical(scene: Scene) -> None:
    """Whatever the worker that goes on has measured."""
    auto: dict[str, Any] = {"training.precision": "auto"}
    undisturbed = scene.create_run(**auto)
    scene.train(scene.claim().model_copy(update={"bf16_speedup": 4.0}))
    disturbed = scene.create_run(**auto)
    scene.interrupt(scene.claim().model_copy(update={"bf16_speedup": 4.0}), 11)
    scene.train(scene.claim().model_copy(update={"bf16_speedup": 0.5}))
    assert scene.clinic.numbers(disturbed) == scene.clinic.numbers(undisturbed)
    attempts = scene.clinic.attempts(disturbed)
    assert [attempt.precision for attempt in attempts] == ["bf16", "bf16"]
    assert attempts[-1].identical is True


def test_auto_is_float32_on_a_worker_that_is_slower_in_bf16(scene: Scene) -> None:
    plain, auto = scene.create_run(), scene.create_run(**{"training.precision": "auto"})
    for _ in range(2):
        scene.train(scene.claim().model_copy(update={"bf16_speedup": 0.5}))
    assert scene.clinic.numbers(auto) == scene.clinic.numbers(plain)
    assert [scene.clinic.attempts(run)[0].precision for run in (plain, auto)] == ["float32", "float32"]
