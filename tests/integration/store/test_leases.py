import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from store.core.db import now, transaction
from store.core.errors import LeaseLost
from store.core.models import Run
from store.runs import claims, endings, leases
from store.runs.lifecycle import attempts, cancel, get
from store.runs.machines import Machine
from store.runs.recording import record_epoch, rewind
from tests.support.store import LEASE, claim_run, create_run, epoch_record, expire_lease, outcomes

# --- while it runs ---


def test_renewing_moves_the_end_of_the_lease(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        result = leases.renew(session, claimed.run_id, claimed.token, timedelta(hours=1))
        clock = session.scalars(select(now())).one()
        assert not result.cancel_requested
        assert get(session, claimed.run_id).lease_expires_at == pytest.approx(clock + 3600, abs=5)


def test_renewing_tells_of_a_cancel(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        cancel(session, claimed.run_id)
        assert leases.renew(session, claimed.run_id, claimed.token, LEASE).cancel_requested


def test_progress_is_the_last_step_reported(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        leases.renew(session, claimed.run_id, claimed.token, LEASE, step=7)
        assert get(session, claimed.run_id).step == 7


def test_an_attempt_says_what_it_ran_on(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        describe(session, claimed.run_id, claimed.token)
        (attempt,) = attempts(session, claimed.run_id)
        assert (attempt.device, attempt.threads, attempt.cpu_capability) == ("cpu", 2, "AVX2")
        assert attempt.versions == {"torch": "2.14.1"}
        assert (attempt.resumed_from_epoch, attempt.identical) == (4, True)


def describe(session: Session, run_id: str, token: int) -> None:
    leases.describe_attempt(
        session,
        run_id,
        token,
        Machine(device="cpu", threads=2, cpu_capability="AVX2", versions={"torch": "2.14.1"}),
        resumed_from_epoch=4,
        identical=True,
    )


WRITES: dict[str, Callable[[Session, claims.Claim], object]] = {
    "renew": lambda s, c: leases.renew(s, c.run_id, c.token, LEASE),
    "renew, with a step": lambda s, c: leases.renew(s, c.run_id, c.token, LEASE, step=1),
    "describe_attempt": lambda s, c: describe(s, c.run_id, c.token),
    "record_epoch": lambda s, c: record_epoch(s, epoch_record(c, 1)),
    "rewind": lambda s, c: rewind(s, c.run_id, c.token, 0),
    "finish": lambda s, c: endings.finish(s, c.run_id, c.token, "succeeded"),
    "hand_over": lambda s, c: endings.hand_over(s, c.run_id, c.token),
    "requeue": lambda s, c: endings.requeue(s, c.run_id, c.token, error="e", error_kind="E", max_attempts=3),
}


def columns(session: Session, run_id: str) -> dict[str, object]:
    run = get(session, run_id)
    return {column.name: getattr(run, column.name) for column in Run.__table__.columns}


def test_a_stale_token_is_refused_in_every_write(engine: Engine) -> None:
    with transaction(engine) as session:
        stale = claim_run(session)
        endings.hand_over(session, stale.run_id, stale.token)
        newer = claim_run(session, "worker-2")
        before = columns(session, stale.run_id)
    assert (newer.run_id, newer.token) == (stale.run_id, stale.token + 1)
    for write in WRITES.values():
        with pytest.raises(LeaseLost), transaction(engine) as session:
            write(session, stale)
        with transaction(engine) as session:
            assert columns(session, stale.run_id) == before
            assert outcomes(session, stale.run_id) == ["handed over", "running"]


def test_a_run_that_has_ended_takes_no_writes(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        endings.finish(session, claimed.run_id, claimed.token, "cancelled")
        before = columns(session, claimed.run_id)
    for write in WRITES.values():
        with pytest.raises(LeaseLost), transaction(engine) as session:
            write(session, claimed)
    with transaction(engine) as session:
        assert columns(session, claimed.run_id) == before
        assert outcomes(session, claimed.run_id) == ["cancelled"]


# --- how it ends ---


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled", "halted"])
def test_a_run_ends_with_its_attempt(engine: Engine, outcome: endings.Outcome) -> None:
    error = None if outcome == "succeeded" else "the data are gone"
    with transaction(engine) as session:
        claimed = claim_run(session)
        endings.finish(session, claimed.run_id, claimed.token, outcome, error=error, error_kind=error and "Gone")
    with transaction(engine) as session:
        run = get(session, claimed.run_id)
        (attempt,) = attempts(session, run.id)
        assert (run.status, run.error, run.error_kind) == (outcome, error, error and "Gone")
        assert (run.lease_worker, run.lease_expires_at) == (None, None)
        assert (attempt.outcome, attempt.error) == (outcome, error)
        assert run.finished_at is not None
        assert attempt.ended_at is not None


def test_an_error_with_characters_that_databases_refuse_is_stored(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        endings.finish(
            session, claimed.run_id, claimed.token, "failed", error="nul \0, surrogate \udc80, smile \U0001f600"
        )
    with transaction(engine) as session:
        assert get(session, claimed.run_id).error == "nul \ufffd, surrogate \ufffd, smile \U0001f600"


def test_a_run_handed_over_is_queued_again_and_the_attempt_does_not_count(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
    for _ in range(5):
        with transaction(engine) as session:
            claimed = claim_run(session)
            assert endings.hand_over(session, run_id, claimed.token) == "queued"
    with transaction(engine) as session:
        claimed = claim_run(session)
        assert claimed.attempt == 6
        assert lose(session, claimed, max_attempts=2) == "queued"
        assert outcomes(session, run_id) == ["handed over"] * 5 + ["lost"]


def lose(session: Session, claimed: claims.Claim, *, max_attempts: int) -> str:
    return endings.requeue(
        session, claimed.run_id, claimed.token, error="killed", error_kind="ProcessDied", max_attempts=max_attempts
    )


def test_a_lost_run_is_queued_again_until_the_cap_fails_it(engine: Engine) -> None:
    statuses = [lose_once(engine, max_attempts=3) for _ in range(3)]
    assert statuses == ["queued", "queued", "failed"]
    with transaction(engine) as session:
        run = session.scalars(select(Run)).one()
        assert (run.error, run.error_kind) == ("killed", "ProcessDied")
        assert run.finished_at is not None
        assert outcomes(session, run.id) == ["lost"] * 3


def lose_once(engine: Engine, *, max_attempts: int) -> str:
    with transaction(engine) as session:
        return lose(session, claim_run(session), max_attempts=max_attempts)


def test_a_run_whose_lease_expired_is_queued_again(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        expire_lease(session, claimed.run_id)
    with transaction(engine) as session:
        assert endings.requeue_expired(session, max_attempts=3) == [claimed.run_id]
        run = get(session, claimed.run_id)
        assert (run.status, run.error, run.lease_worker) == ("queued", None, None)
        (attempt,) = attempts(session, run.id)
        assert (attempt.outcome, attempt.error) == ("lost", "worker worker-1 stopped renewing its lease")


def test_a_lease_expires_by_the_clock_of_the_database(engine: Engine) -> None:
    with transaction(engine) as session:
        create_run(session)
        claimed = claims.claim(session, "worker-1", timedelta(milliseconds=1))
        assert claimed is not None
    with transaction(engine) as session:
        until = get(session, claimed.run_id).lease_expires_at
        while session.scalars(select(now())).one() <= (until or 0):
            pass
        assert endings.requeue_expired(session, max_attempts=3) == [claimed.run_id]


def test_a_lease_that_still_runs_is_left_alone(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
    with transaction(engine) as session:
        assert endings.requeue_expired(session, max_attempts=1) == []
        assert get(session, claimed.run_id).status == "running"


def test_a_run_whose_leases_keep_expiring_fails_at_the_cap(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
    for _ in range(2):
        with transaction(engine) as session:
            claim_run(session)
            expire_lease(session, run_id)
        with transaction(engine) as session:
            endings.requeue_expired(session, max_attempts=2)
    with transaction(engine) as session:
        run = get(session, run_id)
        assert (run.status, run.error_kind) == ("failed", "LeaseExpired")
        assert claims.claim(session, "worker-2", LEASE) is None


def test_repairers_at_once_requeue_each_run_once(engine: Engine) -> None:
    repairers = 4
    with transaction(engine) as session:
        expected = [claim_run(session).run_id for _ in range(6)]
        for run_id in expected:
            expire_lease(session, run_id)
    barrier = Barrier(repairers)

    def repair(_: int) -> list[str]:
        barrier.wait()
        with transaction(engine) as session:
            return endings.requeue_expired(session, max_attempts=3)

    with ThreadPoolExecutor(repairers) as pool:
        repaired = [run_id for lost in pool.map(repair, range(repairers)) for run_id in lost]
    assert sorted(repaired) == sorted(expected)


def test_a_lease_renewed_at_the_last_moment_is_left_alone(postgres_engine: Engine) -> None:
    with transaction(postgres_engine) as session:
        claimed = claim_run(session)
        expire_lease(session, claimed.run_id)

    def repair() -> list[str]:
        with transaction(postgres_engine) as session:
            return endings.requeue_expired(session, max_attempts=3)

    with transaction(postgres_engine) as session:
        leases.renew(session, claimed.run_id, claimed.token, LEASE)
        assert repair() == []  # it sees the expired lease, and passes by the row that is being written
    with transaction(postgres_engine) as session:
        assert get(session, claimed.run_id).status == "running"


def wait_until_blocked(engine: Engine) -> None:
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 10
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while connection.scalar(blocked) == 0:
            assert time.monotonic() < deadline, "nothing waits for a lock"
            time.sleep(0.01)


# --- cancel ---


def test_a_queued_run_is_cancelled_at_once(engine: Engine) -> None:
    with transaction(engine) as session:
        run = cancel(session, create_run(session).id)
        assert run.status == "cancelled"
        assert run.finished_at is not None
        assert claims.claim(session, "worker-1", LEASE) is None


def test_a_running_run_is_asked_to_stop(engine: Engine) -> None:
    with transaction(engine) as session:
        run = cancel(session, claim_run(session).run_id)
        assert (run.status, run.cancel_requested, run.finished_at) == ("running", True, None)


def test_cancelling_a_run_that_has_ended_changes_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")
        run = cancel(session, claimed.run_id)
        assert (run.status, run.cancel_requested) == ("succeeded", False)


@pytest.mark.parametrize("way", ["hand_over", "requeue", "expire", "last attempt"])
def test_a_run_asked_to_stop_is_never_queued_again(engine: Engine, way: str) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        cancel(session, claimed.run_id)
        if way == "hand_over":
            assert endings.hand_over(session, claimed.run_id, claimed.token) == "cancelled"
        elif way == "expire":
            expire_lease(session, claimed.run_id)
            endings.requeue_expired(session, max_attempts=3)
        else:
            assert lose(session, claimed, max_attempts=1 if way == "last attempt" else 3) == "cancelled"
        run = get(session, claimed.run_id)
        assert run.status == "cancelled"
        assert run.finished_at is not None


def test_a_cancel_is_never_lost_while_the_run_changes_hands(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
    barrier = Barrier(2)

    def change_hands() -> None:
        barrier.wait()
        for _ in range(20):
            with transaction(engine) as session:
                claimed = claims.claim(session, "worker-1", LEASE)
                if claimed is None:
                    return
            with transaction(engine) as session:
                endings.hand_over(session, run_id, claimed.token)

    def ask() -> None:
        barrier.wait()
        with transaction(engine) as session:
            cancel(session, run_id)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(change_hands), pool.submit(ask)]:
            future.result()
    with transaction(engine) as session:
        assert get(session, run_id).status == "cancelled"
