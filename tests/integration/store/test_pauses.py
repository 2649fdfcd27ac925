"""Pausing and resuming on both databases."""

import pytest
from sqlalchemy import Engine

from store.core.db import transaction
from store.core.errors import LeaseLost, NotPausable, RunNotFound
from store.core.models import Run
from store.runs import claims, endings, leases, lifecycle, pauses
from store.runs.lifecycle import attempts, get
from tests.support.comparison import create_comparison
from tests.support.sharing import claim_users
from tests.support.store import LEASE, claim_run, create_run, expire_lease, outcomes


def test_a_queued_run_is_paused_at_once_and_is_not_claimed(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        paused = pauses.pause(session, run_id)
        assert (paused.status, paused.pause_requested, paused.finished_at) == ("paused", False, None)
        assert claims.claim(session, "worker-1", LEASE) is None
        assert pauses.pause(session, run_id).status == "paused"


def test_a_resumed_run_has_its_old_place(engine: Engine) -> None:
    with transaction(engine) as session:
        first, second = create_run(session), create_run(session)
        first.created_at -= 10
        session.flush()
        pauses.pause(session, first.id)
        assert pauses.resume(session, first.id).status == "queued"
        assert [claim_run(session).run_id for _ in range(2)] == [first.id, second.id]


def test_a_running_run_is_paused_by_its_training(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        asked = pauses.pause(session, claimed.run_id)
        assert (asked.status, asked.pause_requested) == ("running", True)
        renewed = leases.renew(session, claimed.run_id, claimed.token, LEASE)
        assert (renewed.cancel_requested, renewed.pause_requested) == (False, True)
        assert endings.pause(session, claimed.run_id, claimed.token) == "paused"
        run = get(session, claimed.run_id)
        assert (run.status, run.pause_requested, run.lease_worker, run.lease_expires_at) == (
            "paused",
            False,
            None,
            None,
        )
        assert outcomes(session, run.id) == ["paused"]
        assert attempts(session, run.id)[0].ended_at is not None
        with pytest.raises(LeaseLost):
            leases.renew(session, claimed.run_id, claimed.token, LEASE)


def test_a_pause_that_is_called_off_lets_the_attempt_go_on(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        pauses.pause(session, claimed.run_id)
        run = pauses.resume(session, claimed.run_id)
        assert (run.status, run.pause_requested) == ("running", False)
        assert endings.pause(session, claimed.run_id, claimed.token) is None
        assert outcomes(session, claimed.run_id) == ["running"]


@pytest.mark.parametrize("how", ["handed over", "lost"])
def test_a_run_that_is_to_pause_and_loses_its_worker_is_paused(engine: Engine, how: str) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        pauses.pause(session, claimed.run_id)
        if how == "handed over":
            endings.hand_over(session, claimed.run_id, claimed.token)
        else:
            expire_lease(session, claimed.run_id)
            endings.requeue_expired(session, max_attempts=3)
        run = get(session, claimed.run_id)
        assert (run.status, run.pause_requested) == ("paused", False)
        assert outcomes(session, run.id) == [how]


def test_pauses_do_not_use_up_the_attempts(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        for _ in range(3):
            claimed = claim_run(session)
            pauses.pause(session, run_id)
            endings.pause(session, run_id, claimed.token)
            pauses.resume(session, run_id)
        claimed = claim_run(session)
        status = endings.requeue(session, run_id, claimed.token, error="x", error_kind="X", max_attempts=2)
        assert status == "queued"


def test_a_cancel_wins_over_a_pause(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        pauses.pause(session, claimed.run_id)
        lifecycle.cancel(session, claimed.run_id)
        assert endings.pause(session, claimed.run_id, claimed.token) == "cancelled"
        assert get(session, claimed.run_id).finished_at is not None


def test_a_paused_run_can_be_cancelled(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        pauses.pause(session, run_id)
        run = lifecycle.cancel(session, run_id)
        assert (run.status, run.cancel_requested) == ("cancelled", True)
        assert run.finished_at is not None


def test_a_success_wins_over_a_pause(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        pauses.pause(session, claimed.run_id)
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")
        run = get(session, claimed.run_id)
        assert (run.status, run.pause_requested) == ("succeeded", False)


def test_what_is_over_or_no_training_is_not_paused(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        lifecycle.cancel(session, run_id)
        for change in (pauses.pause, pauses.resume):
            with pytest.raises(NotPausable, match="is over: cancelled; it can neither be paused nor resumed"):
                change(session, run_id)
            with pytest.raises(RunNotFound):
                change(session, create_comparison(session).id)
            with pytest.raises(RunNotFound):
                change(session, "0" * 16)
        assert session.query(Run).filter_by(status="paused").count() == 0
    with transaction(engine) as session:
        assert claim_users(session, 3) == ["default", "default"]  # the comparisons
