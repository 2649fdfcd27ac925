"""Supervision of training processes that are small scripts, on both databases."""

import json
import sys
import textwrap
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine

from store.core.db import transaction
from store.core.models import Attempt, Run
from store.core.settings import Settings
from store.runs import claims, endings, lifecycle
from store.runs.claims import Claim
from tests.support.servers import PostgresServer
from tests.support.store import claim_run, expire_lease
from tests.support.worker import is_alive
from worker.host.supervise import supervise

PRELUDE = """
import json, os, signal, subprocess, sys, time
ticket = json.loads(sys.stdin.readline())
def tell(**event): print(json.dumps(event), flush=True)
def step(n): tell(event="stepped", step=n)
"""


class Scene:
    """A claimed run, and a thread that supervises a script as its training."""

    def __init__(self, engine: Engine, home: Path, **settings: Any) -> None:
        self.engine = engine
        impatient = {
            "heartbeat_interval": timedelta(seconds=0.05),
            "cancel_grace": timedelta(seconds=0.3),
            "stall_minimum": timedelta(seconds=0.3),
        }
        self.settings = Settings(home=home).model_copy(update={**impatient, **settings})
        with transaction(engine) as session:
            self.claim: Claim = claim_run(session)
        self.stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.lacked_something: bool | None = None
        """What the worker was told in the end."""

    def start(self, script: str) -> None:
        command = [sys.executable, "-S", "-c", PRELUDE + textwrap.dedent(script)]
        self._thread = threading.Thread(target=self._supervise, args=[command])
        self._thread.start()

    def _supervise(self, command: list[str]) -> None:
        self.lacked_something = supervise(
            self.claim, self.stopping.is_set, engine=self.engine, settings=self.settings, command=command
        )

    def wait(self) -> Run:
        """The run after its supervision has ended."""
        assert self._thread is not None
        self._thread.join()
        return self.run()

    def train(self, script: str) -> Run:
        self.start(script)
        return self.wait()

    def run(self) -> Run:
        with transaction(self.engine) as session:
            return lifecycle.get(session, self.claim.run_id)

    def attempt(self) -> Attempt:
        with transaction(self.engine) as session:
            return lifecycle.attempts(session, self.claim.run_id)[-1]

    def cancel(self) -> None:
        with transaction(self.engine) as session:
            lifecycle.cancel(session, self.claim.run_id)

    def wait_for_step(self, step: int) -> None:
        while self.run().step < step:
            time.sleep(0.01)


@pytest.fixture
def scene(engine: Engine, tmp_path: Path) -> Scene:
    return Scene(engine, tmp_path)


def test_the_training_gets_its_ticket(scene: Scene) -> None:
    run = scene.train('tell(event="failed", kind="Ticket", error=json.dumps(ticket))')
    expected = {
        "run_id": scene.claim.run_id,
        "token": scene.claim.token,
        "attempt": 1,
        "device": "auto",
        "more_devices": [],
        "gpu_memory": None,
        "bf16_speedup": None,
        "traceparent": None,
        "is_stacked": False,
        "fellows": [],
    }
    assert json.loads(str(run.error)) == expected


def test_progress_is_stored_and_the_lease_renewed_while_it_trains(scene: Scene) -> None:
    scene.start("step(3); sys.stdin.readline()")
    scene.wait_for_step(3)
    before = scene.run().lease_expires_at
    while scene.run().lease_expires_at == before:
        time.sleep(0.01)
    scene.stopping.set()
    scene.wait()


def test_a_failure_that_the_training_names_is_final(scene: Scene) -> None:
    run = scene.train('tell(event="failed", kind="DatasetUnavailable", error="use another"); sys.exit(1)')
    assert (run.status, run.error_kind, run.error) == ("failed", "DatasetUnavailable", "use another")
    assert scene.attempt().outcome == "failed"


@pytest.mark.parametrize(("kind", "is_local"), [("DiskFull", True), ("OutOfMemory", False)])
def test_only_what_another_host_may_have_lets_the_worker_rest(scene: Scene, kind: str, is_local: bool) -> None:
    run = scene.train(f'tell(event="failed", kind="{kind}", error="e", is_final=False, is_local={is_local})')
    assert (run.status, scene.attempt().outcome) == ("queued", "lost")
    assert scene.lacked_something is is_local


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('print("last words", file=sys.stderr); sys.exit(3)', "ended with exit status 3"),
        ('print("last words", file=sys.stderr, flush=True); os.kill(os.getpid(), 9)', "killed by signal 9 (Killed)"),
        ('print("last words", file=sys.stderr)', "ended with exit status 0"),  # without having recorded a success
    ],
)
def test_a_training_that_dies_is_queued_again_with_its_last_log_lines(scene: Scene, script: str, reason: str) -> None:
    run = scene.train(script)
    assert (run.status, run.error) == ("queued", None)
    attempt = scene.attempt()
    assert attempt.outcome == "lost"
    assert reason in str(attempt.error)
    assert str(attempt.error).endswith("last words")


def test_a_run_whose_attempts_are_used_up_fails_with_the_last_log_lines(engine: Engine, tmp_path: Path) -> None:
    for number in (1, 2):
        scene = Scene(engine, tmp_path, max_attempts=2)
        assert scene.claim.attempt == number
        run = scene.train(f'sys.exit("crash {number}")')
    assert (run.status, run.error_kind) == ("failed", "TrainingDied")
    assert "crash 2" in str(run.error)
    assert "crash 1" not in str(run.error)  # of the same file, but of another attempt


def test_a_cancelled_training_is_told_and_may_end_by_itself(scene: Scene) -> None:
    scene.start("step(1); print(sys.stdin.readline(), file=sys.stderr)")
    scene.cancel()
    assert scene.wait().status == "cancelled"
    assert (scene.settings.logs / f"{scene.claim.run_id}.1.log").read_text().strip() == "cancel"


def test_a_cancelled_training_that_does_not_listen_is_killed_with_all_its_children(scene: Scene) -> None:
    scene.start("""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "600"])
        step(child.pid)
        time.sleep(600)
    """)
    scene.wait_for_step(1)
    child = scene.run().step
    assert is_alive(child)
    scene.cancel()
    assert scene.wait().status == "cancelled"
    assert not is_alive(child)


def test_a_training_that_dies_leaves_no_children(scene: Scene) -> None:
    scene.start("""
        child = subprocess.Popen(["sleep", "600"])
        step(child.pid)
        sys.stdin.readline()
    """)
    scene.wait_for_step(1)
    child = scene.run().step
    scene.stopping.set()
    scene.wait()
    assert not is_alive(child)


def test_a_silent_training_is_killed_and_its_attempt_counts(scene: Scene) -> None:
    run = scene.train("""
        import faulthandler
        faulthandler.register(signal.SIGTERM, chain=True)
        for n in range(5):
            step(n)
            time.sleep(.01)
        time.sleep(600)
    """)
    assert run.status == "queued"
    attempt = scene.attempt()
    assert attempt.outcome == "lost"
    assert "silent for too long" in str(attempt.error)
    assert "most recent call first" in str(attempt.error)  # where it hung


def test_a_stopping_worker_hands_its_run_over(scene: Scene) -> None:
    scene.start("step(1); sys.stdin.readline()")
    scene.wait_for_step(1)
    scene.stopping.set()
    assert scene.wait().status == "queued"
    assert scene.attempt().outcome == "handed over"


def test_a_cancel_that_comes_with_the_stop_of_the_worker_cancels(scene: Scene) -> None:
    scene.start("step(1); time.sleep(600)")
    scene.wait_for_step(1)
    scene.stopping.set()
    scene.cancel()
    assert scene.wait().status == "cancelled"


def test_a_success_that_comes_with_a_cancel_is_a_success(scene: Scene) -> None:
    scene.start("step(1); sys.stdin.readline()")
    scene.wait_for_step(1)
    with transaction(scene.engine) as session:
        lifecycle.cancel(session, scene.claim.run_id)
        endings.finish(session, scene.claim.run_id, scene.claim.token, "succeeded")
    assert scene.wait().status == "succeeded"
    assert scene.attempt().outcome == "succeeded"


def test_a_worker_that_lost_its_lease_ends_its_training_and_writes_nothing(scene: Scene) -> None:
    scene.start("step(1); sys.stdin.readline(); step(2); sys.exit('late words')")
    scene.wait_for_step(1)
    with transaction(scene.engine) as session:
        expire_lease(session, scene.claim.run_id)
        assert endings.requeue_expired(session, 3) == [scene.claim.run_id]
        successor = claims.claim(session, "worker-2", timedelta(seconds=30))
    assert successor is not None
    run = scene.wait()
    assert (run.status, run.token, run.lease_worker, run.step) == ("running", successor.token, "worker-2", 1)
    assert "late words" not in str(scene.attempt().error)


def test_output_that_is_no_event_disturbs_nobody(scene: Scene) -> None:
    run = scene.train("""
        print("downloading: 100 %")
        os.write(1, b"\\xff\\xfe\\n")
        tell(event="unheard of")
        tell(event="failed", kind="Named", error="at last")
    """)
    assert (run.error_kind, run.error) == ("Named", "at last")


def test_a_database_that_is_away_for_a_while_disturbs_no_training(
    postgres_server: PostgresServer, postgres_engine: Engine, tmp_path: Path
) -> None:
    scene = Scene(postgres_engine, tmp_path)
    scene.start("""
        step(1)
        for n in range(2, 1000):
            time.sleep(.02)
            step(n)
        sys.stdin.readline()
    """)
    scene.wait_for_step(2)
    database = sql.Identifier(str(postgres_engine.url.database))
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'")
        time.sleep(0.5)
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))
    seen = scene.run().step
    scene.wait_for_step(seen + 1)
    scene.stopping.set()
    assert scene.wait().status == "queued"
    assert scene.attempt().outcome == "handed over"
