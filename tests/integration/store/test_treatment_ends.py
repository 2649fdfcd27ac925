"""How treatments end: cancelled, or with a transaction that fails half-way."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from store import treatments
from store.core.db import transaction
from store.core.errors import DatabaseUnavailable, LeaseLost
from store.runs import claims, endings, leases, lifecycle
from tests.support.store import LEASE, outcomes
from tests.support.treatment import begin, end, record, state, take


def test_cancelling_a_treatment_cancels_its_queued_try(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        assert treatments.cancel(session, treatment_id).status == "cancelled"
    assert state(engine, treatment_id) == ("cancelled", None, ["cancelled"])
    with transaction(engine) as session:
        assert lifecycle.get(session, first).cancel_requested
        assert treatments.cancel(session, treatment_id).status == "cancelled"


def test_cancelling_a_treatment_asks_its_running_try_to_stop(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        token = take(session, first).token
        assert treatments.cancel(session, treatment_id).status == "cancelled"
        assert leases.renew(session, first, token, LEASE).cancel_requested
        endings.finish(session, first, token, "cancelled")
    assert state(engine, treatment_id) == ("cancelled", None, ["cancelled"])


@pytest.mark.parametrize("is_running", [False, True])
def test_cancelling_the_try_alone_ends_the_treatment_too(engine: Engine, is_running: bool) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        token = take(session, first).token if is_running else 0
        lifecycle.cancel(session, first)
        if is_running:
            endings.hand_over(session, first, token)
    assert state(engine, treatment_id) == ("cancelled", None, ["cancelled"])


def test_a_treatment_that_is_over_is_not_cancelled(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        end(session, first)
        assert treatments.cancel(session, treatment_id).status == "cured"


def test_the_end_of_a_try_that_was_cancelled_too_late_makes_no_other(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        claimed = take(session, first)
        record(session, claimed, "mode collapse")
        treatments.cancel(session, treatment_id)
        endings.finish(session, first, claimed.token, "succeeded")
    assert state(engine, treatment_id) == ("cancelled", None, ["succeeded"])


def test_a_cancel_beside_the_end_of_a_try_leaves_nothing_running(engine: Engine) -> None:
    for _ in range(8):
        treatment_id, first = begin(engine)
        with transaction(engine) as session:
            claimed = take(session, first)
            record(session, claimed, "mode collapse")
        barrier = Barrier(2)

        def cancel(treatment_id: str = treatment_id, barrier: Barrier = barrier) -> None:
            barrier.wait()
            with transaction(engine) as session:
                treatments.cancel(session, treatment_id)

        def finish(claimed: claims.Claim = claimed, barrier: Barrier = barrier) -> None:
            barrier.wait()
            with transaction(engine) as session:
                endings.finish(session, claimed.run_id, claimed.token, "succeeded")

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(cancel), pool.submit(finish)]:
                done.result()
        status, _, tries = state(engine, treatment_id)
        assert (status, tries) in [("cancelled", ["succeeded"]), ("cancelled", ["succeeded", "cancelled"])]


GONE = (DatabaseUnavailable, psycopg.OperationalError, sqlite3.OperationalError)


@contextmanager
def failing(engine: Engine, beginning: str) -> Iterator[None]:
    """The database goes away at the first statement that begins so."""

    def fail(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(beginning):
            raise psycopg.OperationalError("gone") if engine.name == "postgresql" else sqlite3.OperationalError("gone")

    event.listen(engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", fail)


def finish(engine: Engine, claimed: claims.Claim) -> None:
    """What a training does at its end: everything in one transaction."""
    with transaction(engine) as session:
        record(session, claimed, "mode collapse")
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")


@pytest.mark.parametrize("statement", ["INSERT INTO runs", "SELECT treatments.id", "UPDATE attempts"])
def test_a_finish_that_fails_in_the_middle_leaves_neither_the_end_nor_the_next_try(
    engine: Engine, statement: str
) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        claimed = take(session, first)
    with pytest.raises(GONE), failing(engine, statement):
        finish(engine, claimed)
    assert state(engine, treatment_id) == ("running", None, ["running"])
    with transaction(engine) as session:
        assert outcomes(session, first) == ["running"]
        assert lifecycle.get(session, first).epochs_done == 0
    finish(engine, claimed)
    assert state(engine, treatment_id) == ("running", None, ["succeeded", "queued"])
    with transaction(engine) as session:  # the same end again, as after a lost answer: nothing follows from it
        endings.finish(session, first, claimed.token, "succeeded")
    with pytest.raises(LeaseLost), transaction(engine) as session:
        endings.finish(session, first, claimed.token, "failed")
    assert len(state(engine, treatment_id)[2]) == 2


def test_a_finish_that_fails_at_the_end_of_its_treatment_is_undone(engine: Engine) -> None:
    treatment_id, first = begin(engine, max_tries=1)
    with transaction(engine) as session:
        claimed = take(session, first)
    with pytest.raises(GONE), failing(engine, "UPDATE treatments"):
        finish(engine, claimed)
    assert state(engine, treatment_id) == ("running", None, ["running"])
