import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from store.core.db import make_engine, now, reading, transaction
from store.core.errors import DatabaseUnavailable
from store.core.models import Attempt, Run
from store.runs.lifecycle import get
from tests.support.store import create_run


def test_the_database_clock_is_in_seconds_since_1970(engine: Engine) -> None:
    before = time.time()
    with reading(engine) as session:
        clock = session.scalars(select(now())).one()
    assert before - 0.01 <= clock <= time.time() + 0.01


def test_the_database_clock_moves_during_a_transaction(engine: Engine) -> None:
    with transaction(engine) as session:
        first = session.scalars(select(now())).one()
        time.sleep(0.01)
        assert session.scalars(select(now())).one() > first


def test_an_exception_undoes_the_transaction(engine: Engine) -> None:
    def create_then_fail() -> None:
        with transaction(engine) as session:
            create_run(session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create_then_fail()
    with reading(engine) as session:
        assert session.scalars(select(Run)).all() == []


def test_a_commit_waits_for_the_disk_unless_it_may_be_lost(postgres_engine: Engine) -> None:
    def wanted(*, durable: bool) -> str:
        with transaction(postgres_engine, durable=durable) as session:
            session.execute(text("SET synchronous_commit TO local"))  # the tests' server has it off
        with transaction(postgres_engine, durable=durable) as session:
            return session.execute(text("SHOW synchronous_commit")).scalar_one()

    postgres_engine.pool.dispose()
    assert wanted(durable=False) == "off"
    assert wanted(durable=True) == "local"


def test_updates_at_once_are_never_lost(engine: Engine) -> None:
    writers, rounds = 4, 10
    with transaction(engine) as session:
        run_id = create_run(session).id

    def add(_: int) -> None:
        for _ in range(rounds):
            with transaction(engine) as session:
                session.execute(update(Run).where(Run.id == run_id).values(step=Run.step + 1))

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(add, range(writers)))
    with reading(engine) as session:
        assert get(session, run_id).step == writers * rounds


def test_on_sqlite_what_a_transaction_has_read_no_other_changes_before_its_end(sqlite_engine: Engine) -> None:
    with transaction(sqlite_engine) as session:
        run_id = create_run(session).id

    def read_then_write(_: int) -> None:
        with transaction(sqlite_engine) as session:
            run = get(session, run_id)
            time.sleep(0.002)
            run.step += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_then_write, range(12)))
    with reading(sqlite_engine) as session:
        assert get(session, run_id).step == 12


def test_a_reader_sees_one_moment_and_neither_waits_nor_delays(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session, "first").id
    with reading(engine) as reader:
        assert get(reader, run_id).name == "first"
        with transaction(engine) as writer:
            writer.execute(update(Run).where(Run.id == run_id).values(name="second"))
            assert get(reader, run_id).name == "first"
        assert get(reader, run_id).name == "first"
    with reading(engine) as reader:
        assert get(reader, run_id).name == "second"


def test_a_reader_may_not_write(engine: Engine) -> None:
    with pytest.raises((DBAPIError, DatabaseUnavailable), match=r"read-?only"), reading(engine) as session:
        create_run(session)
    with transaction(engine) as session:  # the same pooled connection may
        create_run(session)


def test_a_row_cannot_belong_to_a_run_that_does_not_exist(engine: Engine) -> None:
    orphan = Attempt(run_id="0" * 16, number=1, token=1, worker="worker-1", started_at=now(), outcome="running")
    with pytest.raises(IntegrityError), transaction(engine) as session:
        session.add(orphan)


def test_on_sqlite_the_settings_of_a_connection_are_those_we_rely_on(sqlite_engine: Engine) -> None:
    expected = {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 30_000}
    with transaction(sqlite_engine) as session:
        found = {name: session.scalar(text(f"PRAGMA {name}")) for name in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://me:secret@db/clinic", "postgresql+psycopg://me:***@db/clinic"),
        ("postgresql://db/clinic?connect_timeout=3", "postgresql+psycopg://db/clinic?connect_timeout=3"),
        ("postgresql+psycopg://db/clinic", "postgresql+psycopg://db/clinic"),
        ("sqlite:////tmp/clinic.db", "sqlite:////tmp/clinic.db"),
    ],
)
def test_urls_as_people_write_them_are_understood(url: str, driver: str) -> None:
    assert str(make_engine(url).url) == driver


def test_a_database_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/missing/clinic.db", f"postgresql://me@/clinic?host={tmp_path}"):
        engine = make_engine(url)
        for opened in (transaction, reading):
            with pytest.raises(DatabaseUnavailable, match="the database does not answer"), opened(engine) as session:
                session.execute(text("SELECT 1"))
        engine.dispose()


def test_a_pooled_connection_that_was_cut_is_replaced(postgres_engine: Engine) -> None:
    with transaction(postgres_engine) as session:
        ours = session.scalar(text("SELECT pg_backend_pid()"))
    killer = make_engine(postgres_engine.url.render_as_string())
    with transaction(killer) as session:
        assert session.scalar(text("SELECT pg_terminate_backend(:pid)"), {"pid": ours})
    killer.dispose()
    with transaction(postgres_engine) as session:
        assert session.scalar(text("SELECT pg_backend_pid()")) != ours


def test_opening_a_new_file_waits_for_another_process_that_is_opening_it(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    engine = make_engine(f"sqlite:///{path}")
    with transaction(engine) as session:
        assert session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()
    release.join()
    other.close()
