"""Real workers that train several runs in one process, and are killed or told to end one of them in the middle."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import transaction
from store.runs import lifecycle
from tests.support.worker import EPOCHS, LOOK_INTERVAL_S, Clinic, clinic_at, training_of

pytestmark = pytest.mark.slow
TOGETHER = {"GANCLINIC_STACK_MEMBERS": "3"}
SEEDS = (1, 2, 3)
EVERY: dict[str, Any] = {"training.checkpoint_every_epochs": 1}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    home = tmp_path_factory.mktemp("clinic")
    yield from clinic_at(home, f"sqlite:///{home / 'ganclinic.db'}")


@pytest.fixture
def postgres_clinic(tmp_path: Path, postgres_url: str) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, postgres_url)


@pytest.fixture(scope="module")
def undisturbed(clinic: Clinic) -> dict[int, dict[str, Any]]:
    """The numbers of a stack that nothing happened to, by seed."""
    runs = create(clinic)
    with clinic.worker(**TOGETHER):
        for run_id in runs.values():
            assert clinic.wait_for_end(run_id).status == "succeeded"
    assert {clinic.attempts(run_id)[0].stack_size for run_id in runs.values()} == {3}
    return {seed: clinic.numbers(run_id) for seed, run_id in runs.items()}


def create(clinic: Clinic) -> dict[int, str]:
    return {seed: clinic.create_run(**EVERY, seed=seed) for seed in SEEDS}


def assert_all_succeed(clinic: Clinic, runs: dict[int, str], expected: dict[int, dict[str, Any]]) -> None:
    for seed, run_id in runs.items():
        run = clinic.wait_for_end(run_id)
        assert run.status == "succeeded", run.error
        assert [epoch.epoch for epoch in clinic.epochs(run_id)] == list(range(1, EPOCHS + 1))
        assert clinic.numbers(run_id) == expected[seed]


def test_runs_whose_worker_is_killed_go_on_with_another_bit_by_bit(
    clinic: Clinic, undisturbed: dict[int, dict[str, Any]]
) -> None:
    runs = create(clinic)
    with clinic.worker(**TOGETHER) as worker:
        for run_id in runs.values():
            clinic.wait_for_epoch(run_id, 3)
        worker.kill()
        worker.wait()
    with clinic.worker(**TOGETHER):
        assert_all_succeed(clinic, runs, undisturbed)
    for run_id in runs.values():
        first, second = clinic.attempts(run_id)
        assert (first.outcome, first.stack_size) == ("lost", 3)
        assert (second.outcome, second.stack_size, second.identical) == ("succeeded", 3, True)


def test_runs_outlive_their_training_process_and_a_cancel_of_one(
    postgres_clinic: Clinic, undisturbed: dict[int, dict[str, Any]]
) -> None:
    clinic = postgres_clinic
    runs = create(clinic)
    with clinic.worker(**TOGETHER) as worker:
        clinic.wait_for_epoch(runs[3], 1)
        with transaction(clinic.engine) as session:
            lifecycle.cancel(session, runs[2])
        cancelled = clinic.wait_until(runs[2], lambda run: run.status in FINAL_STATUSES)
        assert cancelled.status == "cancelled"
        assert cancelled.epochs_done < EPOCHS
        clinic.wait_for_epoch(runs[3], 3)
        os.kill(training_of(worker), signal.SIGKILL)
        del runs[2]
        assert_all_succeed(clinic, runs, undisturbed)
    assert [attempt.outcome for attempt in clinic.attempts(runs[1])] == ["lost", "succeeded"]


def test_a_worker_that_is_stopped_hands_all_over_and_they_go_on_together(
    clinic: Clinic, undisturbed: dict[int, dict[str, Any]]
) -> None:
    runs = create(clinic)
    with clinic.worker(**TOGETHER) as worker:
        clinic.wait_for_epoch(runs[3], 2)
        worker.terminate()
        worker.wait()
    while any(clinic.run(run_id).status != "queued" for run_id in runs.values()):
        time.sleep(LOOK_INTERVAL_S)
    with clinic.worker(**TOGETHER):
        assert_all_succeed(clinic, runs, undisturbed)
    outcomes = [[attempt.outcome for attempt in clinic.attempts(run_id)] for run_id in runs.values()]
    assert outcomes == [["handed over", "succeeded"]] * 3
