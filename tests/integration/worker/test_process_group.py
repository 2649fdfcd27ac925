"""Trainings of several processes, on the CPU: the same numbers as one, and one end for all."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from store.core.db import reading, transaction
from store.core.models import Run
from store.core.settings import Settings
from store.runs import claims, lifecycle
from store.runs.claims import Claim
from store.runs.series import read_steps
from tests.support.images import CHECKOUT
from tests.support.processes import children_of, command_line, trainings_of
from tests.support.store import LEASE, claim_run
from tests.support.worker import Clinic, is_alive
from worker.group_folders import sweep
from worker.host.supervise import TRAINING, supervise

ENDLESS = {"training.epochs": 5, "training.steps_per_epoch": 1_000_000}
SHORT = {"training.epochs": 3, "training.steps_per_epoch": 10}
WIDTH, FITTING = 64, 256
LIMITED = f"""
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from tests.support import memory
from worker.attempt import process_group
if sys.argv[1] == "others":
    child = "import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from tests.support import memory; "
    child += "from worker.attempt.process_group import main; "
    child += "memory.LittleMemory({FITTING * 4 * WIDTH}).__enter__(); sys.exit(main())"
    process_group.COMMAND = (sys.executable, "-c", child)
    from worker.attempt.training import main
    sys.exit(main())
sys.exit(memory.train_with_little_memory({FITTING * 4 * WIDTH}))
"""


class Scene:
    """Attempts that are supervised in a thread."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.settings = Settings(
            home=home,
            database_url=str(engine.url),
            device="cpu",
            threads=1,
            heartbeat_interval=timedelta(seconds=0.5),
        )
        self.clinic = Clinic(home=home, engine=engine, database_url=str(engine.url))
        self._thread: threading.Thread | None = None

    def start(self, run_id: str, command: tuple[str, ...] = TRAINING) -> None:
        with transaction(self.engine) as session:
            claimed = claims.claim(session, "w", LEASE)
        assert claimed is not None
        assert claimed.run_id == run_id
        self._thread = threading.Thread(target=self._supervise, args=[claimed, command])
        self._thread.start()

    def _supervise(self, claim: Claim, command: tuple[str, ...]) -> None:
        supervise(claim, lambda: False, engine=self.engine, settings=self.settings, command=command)

    def wait(self, run_id: str) -> Run:
        assert self._thread is not None
        self._thread.join()
        return self.clinic.run(run_id)

    def train(self, **settings: Any) -> str:
        run_id = self.clinic.create_run(**settings)
        self.start(run_id)
        assert self.wait(run_id).error is None
        return run_id

    def processes(self, run_id: str) -> tuple[int, int]:
        """The training process and the one that it has started, once they make steps."""
        self.clinic.wait_until(run_id, lambda run: run.step > 0)
        (first,) = trainings_of(os.getpid())
        (other,) = [p for p in children_of(first) if b"worker.attempt.process_group" in command_line(p)]
        return first, other


def seconds_until(is_so: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not is_so():
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def scene(sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(sqlite_engine, tmp_path)
    for name, value in scene.clinic.environment().items():
        monkeypatch.setenv(name, value)
    return scene


def test_two_processes_record_what_one_does(scene: Scene) -> None:
    one, two = scene.train(**SHORT), scene.train(**SHORT, **{"resources.gpus": 2})
    with reading(scene.engine) as session:
        alone, together = (read_steps(session, run_id) for run_id in (one, two))
    assert len(together) == 30
    auc = 7  # its mean over the parts is not that of the whole
    assert together[:, :auc] == pytest.approx(alone[:, :auc], rel=1e-4, abs=1e-5)
    assert np.abs(together[:, auc] - alone[:, auc]).max() < 0.1
    assert [e.epoch for e in scene.clinic.epochs(two)] == [1, 2, 3]


def test_a_cancel_ends_all_processes_within_seconds(scene: Scene) -> None:
    run_id = scene.clinic.create_run(**ENDLESS, **{"resources.gpus": 2})
    scene.start(run_id)
    both = scene.processes(run_id)
    with transaction(scene.engine) as session:
        lifecycle.cancel(session, run_id)
    assert seconds_until(lambda: not any(map(is_alive, both))) < 5
    assert scene.wait(run_id).status == "cancelled"


@pytest.mark.parametrize("which", [0, 1])
def test_a_process_that_is_killed_ends_the_attempt_as_one(scene: Scene, which: int) -> None:
    run_id = scene.clinic.create_run(**ENDLESS, **{"resources.gpus": 2})
    scene.start(run_id)
    both = scene.processes(run_id)
    os.kill(both[which], signal.SIGKILL)
    assert seconds_until(lambda: not any(map(is_alive, both))) < 5
    assert scene.wait(run_id).status == "queued"
    (attempt,) = scene.clinic.attempts(run_id)
    assert attempt.outcome == "lost"
    words = "killed by signal 9" if which == 0 else "process 1 of 2 ended with status -9"
    assert words in str(attempt.error)


@pytest.mark.parametrize("who", ["rank 0", "others"])
def test_out_of_memory_in_one_process_ends_all_and_the_run(scene: Scene, who: str) -> None:
    wide = {"generator.width": WIDTH, "discriminator.width": WIDTH, "training.batch_size": 2000}
    run_id = scene.clinic.create_run(dataset={"name": "ring8", "size": 6000}, **wide, **{"resources.gpus": 2})
    scene.start(run_id, (sys.executable, "-c", LIMITED, who))
    run = scene.wait(run_id)
    assert (run.status, run.error_kind, run.attempt) == ("failed", "OutOfMemory", 1)
    if who == "rank 0":  # of 512 each process has 256
        assert str(run.error).endswith(f"fits (tried on this GPU): --set training.batch_size={2 * FITTING}")
    else:
        assert run.error == "process 1 of 2 is out of memory: ask for a smaller training.batch_size"


def test_a_killed_training_leaves_no_state_behind(scene: Scene) -> None:
    run_id = scene.clinic.create_run(**ENDLESS, **{"resources.gpus": 2})
    scene.start(run_id)
    first, _ = scene.processes(run_id)
    [folder] = scene.settings.home.joinpath("ranks").iterdir()
    assert folder.name == f"{run_id}.1"
    assert folder.stat().st_mode & 0o777 == 0o700
    os.kill(first, signal.SIGKILL)
    scene.wait(run_id)
    assert list(scene.settings.home.joinpath("ranks").iterdir()) == []


def test_a_worker_deletes_at_its_start_what_attempts_that_are_over_left(scene: Scene) -> None:
    ranks = scene.settings.home / "ranks"
    with transaction(scene.engine) as session:
        running = claim_run(session)
    kept = [f"{running.run_id}.{running.attempt}", "mine", f"{running.run_id}.x"]
    gone = [f"{running.run_id}.{running.attempt + 1}", f"{'0' * 16}.1"]
    for name in (*kept, *gone):
        (ranks / name).mkdir(parents=True)
    assert sweep(scene.engine, scene.settings.home) == sorted(gone)
    assert {folder.name for folder in ranks.iterdir()} == set(kept)
