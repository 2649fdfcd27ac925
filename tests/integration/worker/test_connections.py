"""How many connections to PostgreSQL many trainings at once have: as its own default of 100 allows."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from store.core.db import (
    API_CONNECTIONS,
    BRIEF_TRAINING_CONNECTIONS,
    KEPT_TRAINING_CONNECTIONS,
    WORKER_CONNECTIONS,
    make_engine,
    reading,
    training_turns,
    transaction,
)
from store.core.errors import DatabaseUnavailable, LeaseLost
from store.core.settings import Settings
from store.core.turns import NoTurn, Turns
from store.runs import endings, leases, lifecycle, recording
from store.runs.claims import Claim
from tests.support.servers import PostgresServer
from tests.support.store import LEASE, claim_run, epoch_record
from worker.attempt.recorder import look_up, persist

TRAININGS = 80
EPOCHS = 2
NAMED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"


class Counter:
    """Counts the connections of one name twenty times a second."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.most = 0
        self._server, self._name = server, name
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Counter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            while not self._is_over.wait(0.05):
                found = connection.execute(NAMED, [self._name]).fetchone()
                assert found is not None
                self.most = max(self.most, found[0])


@contextlib.contextmanager
def api_at_its_most(url: str) -> Iterator[None]:
    """An API process whose every thread has a connection."""
    engine = make_engine(url)
    with contextlib.ExitStack() as stack:
        for _ in range(API_CONNECTIONS):
            stack.enter_context(engine.connect())
        yield
    engine.dispose()


def train(url: str, claim: Claim, settings: Settings, together: threading.Barrier) -> None:
    """What a training process does in the database, on connections made as it makes them."""
    turns = training_turns(settings.connection_turns)
    engine = make_engine(f"{url}&application_name=training", turns=turns)
    together.wait()
    look_up(engine, lambda session: lifecycle.get(session, claim.run_id))
    persist(engine, lambda session: recording.rewind(session, claim.run_id, claim.token, 0))
    for epoch in range(1, EPOCHS + 1):
        together.wait()  # the worst case: all of them end their epochs at one moment
        persist(engine, lambda session, epoch=epoch: recording.record_epoch(session, epoch_record(claim, epoch)))
    persist(engine, lambda session: endings.finish(session, claim.run_id, claim.token, "succeeded"))
    engine.dispose()


def keep_lease(engine: Engine, claim: Claim, is_over: threading.Event) -> None:
    while not is_over.wait(1.0):
        with transaction(engine, durable=False) as session:
            leases.renew(session, claim.run_id, claim.token, LEASE)


@pytest.mark.timeout(120)
def test_as_many_as_80_trainings_share_few_connections(
    migrated_postgres_url: str, postgres_engine: Engine, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url, settings = migrated_postgres_url, Settings(home=tmp_path)
    with transaction(postgres_engine) as session:
        claims = [claim_run(session) for _ in range(TRAININGS)]
    postgres_engine.dispose()
    worker = make_engine(f"{url}&application_name=worker", connections=WORKER_CONNECTIONS)
    together, is_over = threading.Barrier(TRAININGS), threading.Event()
    with (
        api_at_its_most(url),
        Counter(postgres_server, "training") as of_trainings,
        Counter(postgres_server, "worker") as of_worker,
        ThreadPoolExecutor(2 * TRAININGS) as pool,
    ):
        kept = [pool.submit(keep_lease, worker, claim, is_over) for claim in claims]
        trained = [pool.submit(train, url, claim, settings, together) for claim in claims]
        try:
            for training in trained:
                training.result()
        finally:
            is_over.set()
        for lease in kept:
            with contextlib.suppress(LeaseLost):  # the last renewal may come after the end
                lease.result()
    worker.dispose()
    with transaction(postgres_engine) as session:
        runs = [lifecycle.get(session, claim.run_id) for claim in claims]
        assert {(run.status, run.epochs_done) for run in runs} == {("succeeded", EPOCHS)}
        most = int(session.execute(text("SHOW max_connections")).scalar_one())
    # The server counts one that was closed until its process is gone.
    assert KEPT_TRAINING_CONNECTIONS <= of_trainings.most <= KEPT_TRAINING_CONNECTIONS + 2 * BRIEF_TRAINING_CONNECTIONS
    assert 0 < of_worker.most <= WORKER_CONNECTIONS
    assert most == 100, "PostgreSQL's own default"


def test_a_turn_comes_back_from_a_connection_that_fails(postgres_server: PostgresServer, tmp_path: Path) -> None:
    turns = Turns(tmp_path, lasting=0, brief=1)
    nowhere = make_engine(postgres_server.url("nowhere"), turns=turns)
    for _ in range(2):
        with pytest.raises(OperationalError), nowhere.connect():
            pytest.fail("there is no such database")
    turns.take().end()


def test_who_waits_too_long_for_a_turn_hears_that_the_database_does_not_answer(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    turns = Turns(tmp_path, lasting=0, brief=1, patience=timedelta(seconds=0.1))
    engine = make_engine(migrated_postgres_url, turns=turns)
    with reading(engine), pytest.raises(DatabaseUnavailable, match="turns"), reading(engine):
        pytest.fail("the only turn is taken")
    with reading(engine) as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1


def test_a_killed_process_gives_its_turn_back(tmp_path: Path) -> None:
    holds = (
        "from pathlib import Path; import sys, time; from store.core.turns import NoTurn, Turns; "
        "turn = Turns(Path(sys.argv[1]), lasting=0, brief=1).take(); print('holds', flush=True); time.sleep(60)"
    )
    turns = Turns(tmp_path, lasting=0, brief=1, patience=timedelta(0))
    with subprocess.Popen([sys.executable, "-c", holds, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(NoTurn):
            turns.take()
        process.kill()
        process.wait()
        turns.take().end()
