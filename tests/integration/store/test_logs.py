"""Logs of attempts in the database, on both databases."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from store.core.db import make_engine, reading, transaction
from store.core.errors import RunNotFound
from store.core.models import LogPiece
from store.runs import logs
from store.runs.deletion import delete_run
from store.runs.endings import finish
from store.runs.logs import KEPT_BYTES, PIECE_BYTES, LogPart
from tests.support.store import claim_run
from worker.host.attempt_log import AttemptLog


@pytest.fixture
def run_id(engine: Engine) -> str:
    with transaction(engine) as session:
        return claim_run(session).run_id


def read(engine: Engine, run_id: str, after: int = 0) -> LogPart:
    with reading(engine) as session:
        return logs.read(session, run_id, 1, after)


def test_a_log_is_read_from_any_byte_on(engine: Engine, run_id: str) -> None:
    with transaction(engine) as session:
        logs.append(session, run_id, 1, 0, b"one\n")
        logs.append(session, run_id, 1, 4, b"\xfftwo\n")
        logs.append(session, run_id, 2, 0, b"of another attempt\n")
    assert read(engine, run_id) == LogPart(start=0, content=b"one\n\xfftwo\n")
    assert read(engine, run_id, 6) == LogPart(start=6, content=b"wo\n")
    assert read(engine, run_id, 9) == LogPart(start=9, content=b"")
    assert read(engine, run_id, 99).content == b""


def test_old_pieces_are_forgotten_and_the_rest_knows_where_it_begins(engine: Engine, run_id: str) -> None:
    content = bytes(range(256)) * 4096  # 1 MiB
    for start in range(0, len(content), 100_000):
        with transaction(engine) as session:
            logs.append(session, run_id, 1, start, content[start : start + 100_000])
    found = read(engine, run_id)
    assert KEPT_BYTES - PIECE_BYTES <= len(found.content) <= KEPT_BYTES
    assert found.content == content[found.start :]
    assert read(engine, run_id, 5) == found  # what was asked for is gone


def test_the_worker_stores_each_byte_once(engine: Engine, run_id: str, tmp_path: Path) -> None:
    log = AttemptLog(tmp_path, run_id, 1, engine=engine)
    log.store()
    log.write(b"one\n")
    log.store()
    log.store()
    log.write(b"two\n")
    log.write(b"three\n")
    log.store()
    log.close()
    assert read(engine, run_id) == LogPart(start=0, content=b"one\ntwo\nthree\n")
    with reading(engine) as session:
        assert session.scalars(select(func.count()).select_from(LogPiece)).one() == 2


def test_what_is_logged_faster_than_it_is_stored_leaves_a_gap_but_no_wrong_place(
    engine: Engine, run_id: str, tmp_path: Path
) -> None:
    log = AttemptLog(tmp_path, run_id, 1, engine=engine)
    log.write(b"first\n")
    log.store()
    log.write(b"x" * 2 * KEPT_BYTES)
    log.write(b"last\n")
    log.store()
    log.close()
    found = read(engine, run_id)
    assert found.end == 6 + 2 * KEPT_BYTES + 5
    assert found.content.endswith(b"xlast\n")
    assert b"first" not in found.content


def test_a_piece_whose_answer_was_lost_may_be_stored_again(engine: Engine, run_id: str) -> None:
    for content in (b"one\n", b"one\ntwo\n"):
        with transaction(engine) as session:
            logs.append(session, run_id, 1, 0, content)
    assert read(engine, run_id) == LogPart(start=0, content=b"one\ntwo\n")


def test_the_log_of_a_run_that_was_deleted_meanwhile_harms_nobody(engine: Engine, run_id: str, tmp_path: Path) -> None:
    with transaction(engine) as session, pytest.raises(RunNotFound):
        logs.append(session, "a" * 16, 1, 0, b"late\n")
    log = AttemptLog(tmp_path, "a" * 16, 1, engine=engine)
    log.write(b"late\n")
    log.store()
    log.write(b"later\n")
    log.store()
    log.close()
    assert log.tail(9) == "late\nlater"


def test_a_deleted_run_takes_its_logs_with_it(engine: Engine, run_id: str) -> None:
    with transaction(engine) as session:
        logs.append(session, run_id, 1, 0, b"one\n")
        finish(session, run_id, 1, "cancelled")
        delete_run(session, run_id)
    assert read(engine, run_id).content == b""


def test_what_a_database_that_is_gone_did_not_take_is_stored_later(engine: Engine, run_id: str, tmp_path: Path) -> None:
    log = AttemptLog(tmp_path, run_id, 1, engine=make_engine("sqlite:////nowhere/at-all/x.db"))
    log.write(b"one\n")
    assert not log.store()
    log.write(b"two\n")
    log._engine = engine
    assert log.store()
    log.close()
    assert read(engine, run_id) == LogPart(start=0, content=b"one\ntwo\n")
