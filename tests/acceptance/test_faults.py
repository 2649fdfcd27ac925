"""Real workers, training processes and an API that are killed, stopped and starved in the middle of a run.

No worker here but those of the bell's test has a broker: the others find their work by polling.
"""

import io
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import transaction
from store.core.settings import Settings
from store.operations.bell import ring
from store.runs import lifecycle
from store.scheduling import workers
from tests.support.worker import (
    EPOCHS,
    LOOK_INTERVAL_S,
    SPEC,
    Clinic,
    clinic_at,
    is_alive,
    training_of,
    wait_for_listeners,
)

pytestmark = pytest.mark.slow
POLL_S = 15  # the longest that a worker may have


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    home = tmp_path_factory.mktemp("clinic")
    yield from clinic_at(home, f"sqlite:///{home / 'ganclinic.db'}")


@pytest.fixture
def postgres_clinic(tmp_path: Path, postgres_url: str) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, postgres_url)


@pytest.fixture(scope="module")
def undisturbed(clinic: Clinic) -> dict[str, Any]:
    """The numbers of a run that nothing happened to."""
    run_id = clinic.create_run()
    with clinic.worker():
        run = clinic.wait_for_end(run_id)
    assert run.status == "succeeded", run.error
    return clinic.numbers(run_id)


def assert_as_undisturbed(clinic: Clinic, run_id: str, undisturbed: dict[str, Any]) -> None:
    run = clinic.run(run_id)
    assert run.status == "succeeded", run.error
    assert [epoch.epoch for epoch in clinic.epochs(run_id)] == list(range(1, EPOCHS + 1))
    assert clinic.numbers(run_id) == undisturbed
    last = clinic.attempts(run_id)[-1]
    assert last.resumed_from_epoch is not None
    assert last.identical


def outcomes(clinic: Clinic, run_id: str) -> list[str]:
    return [attempt.outcome for attempt in clinic.attempts(run_id)]


def test_a_run_outlives_the_api_and_its_training_process(postgres_clinic: Clinic, undisturbed: dict[str, Any]):
    clinic = postgres_clinic
    with clinic.worker() as worker:
        with clinic.api() as (api, client):
            run_id = client.post("/runs", json={"spec": SPEC}).raise_for_status().json()["id"]
            clinic.wait_for_epoch(run_id, 1)
            api.kill()
            api.wait()
        clinic.wait_for_epoch(run_id, 3)
        os.kill(training_of(worker), signal.SIGKILL)
        clinic.wait_for_end(run_id)
    first, second = clinic.attempts(run_id)
    assert (first.outcome, second.outcome) == ("lost", "succeeded")
    assert "signal 9 (Killed)" in str(first.error)
    assert "epoch 3 took" in str(first.error)  # of its log
    assert_as_undisturbed(clinic, run_id, undisturbed)


def test_a_run_whose_worker_is_killed_goes_on_with_another(clinic: Clinic, undisturbed: dict[str, Any]):
    run_id = clinic.create_run()
    with clinic.worker() as worker:
        clinic.wait_for_epoch(run_id, 3)
        training = training_of(worker)
        worker.kill()
        worker.wait()
        wait_until_dead(training)
        assert clinic.run(run_id).status == "running"
    with clinic.worker():
        clinic.wait_for_end(run_id)
    first, second = clinic.attempts(run_id)
    assert (first.outcome, second.outcome) == ("lost", "succeeded")
    assert first.worker != second.worker
    assert_as_undisturbed(clinic, run_id, undisturbed)


def wait_until_dead(process_id: int) -> None:
    """The test's own time limit ends the waiting."""
    while is_alive(process_id):
        time.sleep(0.01)


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing_more(clinic: Clinic, undisturbed: dict[str, Any]):
    run_id = clinic.create_run()
    with clinic.worker() as sleeper:
        clinic.wait_for_epoch(run_id, 3)
        training = training_of(sleeper)
        send_all(signal.SIGSTOP, sleeper.pid, training)
        with clinic.worker():
            clinic.wait_until(run_id, lambda run: run.attempt == 2)
            send_all(signal.SIGCONT, sleeper.pid, training)
            clinic.wait_for_end(run_id)
        wait_until_dead(training)
        assert sleeper.poll() is None
    assert outcomes(clinic, run_id) == ["lost", "succeeded"]
    by_attempt = [epoch.attempt for epoch in clinic.epochs(run_id)]
    assert by_attempt == sorted(by_attempt)
    assert_as_undisturbed(clinic, run_id, undisturbed)


def send_all(number: signal.Signals, *process_ids: int) -> None:
    for process_id in process_ids:
        os.kill(process_id, number)


def test_a_worker_that_is_stopped_hands_its_run_over(clinic: Clinic, undisturbed: dict[str, Any]):
    run_id = clinic.create_run()
    only_attempt = {"GANCLINIC_MAX_ATTEMPTS": "1"}
    with clinic.worker(**only_attempt) as worker:
        clinic.wait_for_epoch(run_id, 3)
        worker.terminate()
        assert worker.wait(timeout=10) == 0
    assert clinic.run(run_id).status == "queued"
    with clinic.worker(**only_attempt):
        clinic.wait_for_end(run_id)
    assert outcomes(clinic, run_id) == ["handed over", "succeeded"]
    assert_as_undisturbed(clinic, run_id, undisturbed)


def test_a_running_run_is_cancelled_at_its_next_step(clinic: Clinic):
    run_id = clinic.create_run(**{"training.epochs": 10_000})
    with clinic.worker() as worker:
        clinic.wait_for_epoch(run_id, 1)
        training = training_of(worker)
        with transaction(clinic.engine) as session:
            lifecycle.cancel(session, run_id)
        run = clinic.wait_for_end(run_id)
        assert not is_alive(training)
    assert run.status == "cancelled"
    assert outcomes(clinic, run_id) == ["cancelled"]
    assert len(clinic.epochs(run_id)) == run.epochs_done
    assert "ended: cancel" in (clinic.home / "logs" / f"{run_id}.1.log").read_text()  # it was not killed


def test_a_run_without_its_data_fails_before_it_trains_and_names_the_cure(clinic: Clinic, tmp_path: Path):
    (tmp_path / "file").touch()
    images: dict[str, Any] = {
        "generator": {"family": "deconv", "width": 8},
        "discriminator": {"family": "conv", "width": 8},
    }
    run_id = clinic.create_run(dataset={"name": "mnist"}, **images)
    with clinic.worker(GANCLINIC_DATA_DIR=str(tmp_path / "file" / "data")):
        run = clinic.wait_for_end(run_id)
    assert (run.status, run.error_kind, run.step) == ("failed", "DatasetUnavailable", 0)
    assert "--set dataset.name=mnist-5k" in str(run.error)
    assert outcomes(clinic, run_id) == ["failed"]


def test_a_comparison_outlives_its_process(postgres_clinic: Clinic):
    clinic = postgres_clinic
    sets = (np.random.default_rng(seed).standard_normal((200, 2)).astype(np.float32) for seed in range(2))
    files = {name: as_npy(points) for name, points in zip(("real", "fake"), sets, strict=True)}
    with clinic.worker() as worker, clinic.api() as (_, client):
        evaluation = client.post("/evaluations", files=files).raise_for_status().json()
        os.kill(training_of(worker), signal.SIGKILL)
        while evaluation["status"] not in FINAL_STATUSES:
            time.sleep(0.05)
            evaluation = client.get(f"/evaluations/{evaluation['id']}").json()
    assert evaluation["status"] == "succeeded", evaluation["error"]
    assert outcomes(clinic, evaluation["id"]) == ["lost", "succeeded"]
    assert evaluation["evaluation"]["n_fake"] == 200


def as_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_one_bell_wakes_every_worker_long_before_its_poll(clinic: Clinic, broker_url: str):
    patient = {
        "GANCLINIC_BROKER_URL": broker_url,
        "GANCLINIC_POLL_INTERVAL": str(POLL_S),
        "GANCLINIC_CANCEL_GRACE": "0.1",  # nobody waits for these trainings to be ready to stop
    }
    with clinic.worker(**patient) as one, clinic.worker(**patient) as other:
        wait_for_listeners(broker_url, 2)
        before = looked_at(clinic)
        assert ring(Settings(broker_url=broker_url))
        while any(looked_at(clinic).get(name(process), 0) <= before.get(name(process), 0) for process in (one, other)):
            time.sleep(LOOK_INTERVAL_S)
        ids = [clinic.create_run() for _ in range(2)]
        assert ring(Settings(broker_url=broker_url))
        rung_at = time.monotonic()
        for run_id in ids:
            clinic.wait_until(run_id, lambda run: run.status == "running")
        assert time.monotonic() - rung_at < POLL_S - 5  # both have looked just before, and would poll after that
        for process in (one, other):
            process.terminate()
    claimed_by = {clinic.attempts(run_id)[0].worker.partition("@")[0] for run_id in ids}
    assert claimed_by == {name(process) for process in (one, other)}
    for run_id in ids:
        with transaction(clinic.engine) as session:
            lifecycle.cancel(session, run_id)


def looked_at(clinic: Clinic) -> dict[str, float]:
    """When each worker last looked for work."""
    with transaction(clinic.engine) as session:
        return {worker.name.partition("@")[0]: worker.seen_at for worker in workers.list_workers(session)}


def name(worker: subprocess.Popen[bytes]) -> str:
    return f"worker-{worker.pid}"
