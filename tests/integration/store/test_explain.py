"""Why runs wait, on both databases."""

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from store.core.db import transaction
from store.core.models import Run
from store.runs import claims, endings, pauses
from store.runs.lifecycle import get
from store.scheduling import workers
from store.scheduling.accounts import EQUAL
from store.scheduling.explain import Waiting, why_waiting
from store.scheduling.owners import Owner
from store.scheduling.workers import EVERY_WORKER
from tests.support.sharing import ADA, CYD, RUNNING_1, began_ago, have_used, seen_ago, submit
from tests.support.store import LEASE, claim_run, create_run

STEPS = 12  # of a run: 3 epochs of 4


def why(session: Session, run_id: str) -> Waiting:
    return why_waiting(session, get(session, run_id), EQUAL)


def kinds(waiting: Waiting) -> list[str]:
    return [reason.kind for reason in waiting.reasons]


def finish_one(session: Session, seconds: float) -> None:
    """A run that took so long."""
    create_run(session, priority=99)
    claimed = claim_run(session, "worker-0")
    began_ago(session, claimed.run_id, seconds)
    session.execute(update(Run).where(Run.id == claimed.run_id).values(step=STEPS))
    endings.finish(session, claimed.run_id, claimed.token, "succeeded")


def test_runs_ahead_are_counted_by_why_they_are(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.begin(session, "worker-1")
        have_used(session, CYD, 3600)
        submit(session, Owner(user="eve"), 2, priority=1)
        submit(session, ADA, 3)
        *_, last = submit(session, CYD, 2)
        found = why(session, last)
    assert found.ahead == 6
    assert {reason.kind: reason.text.split()[0] for reason in found.reasons} == {
        "priority": "2",
        "share": "3",
        "older": "1",
    }


def test_a_queue_of_another_user_does_not_stand_ahead(engine: Engine) -> None:
    with transaction(engine) as session:
        have_used(session, ADA, 3600)
        submit(session, ADA, 100, age_s=50)
        (run_id,) = submit(session, CYD)
        assert why(session, run_id).ahead == 0


def test_as_runs_ahead_would_use_devices_too_two_users_alternate(engine: Engine) -> None:
    with transaction(engine) as session:
        finish_one(session, 100)
        submit(session, ADA, 50, age_s=60)
        *_, last = submit(session, CYD, 4)
        assert why(session, last).ahead == 7  # three of its own user, four of the other


def test_runs_ahead_that_want_several_gpus_would_use_as_many(engine: Engine) -> None:
    with transaction(engine) as session:
        finish_one(session, 100)
        for run_id in submit(session, ADA, 50, age_s=60):
            run = get(session, run_id)
            run.spec = {**run.spec, "resources": {"gpus": 4}}
        *_, last = submit(session, CYD, 4)
        assert why(session, last).ahead == 4  # three of its own user, one of the other


def test_runs_ahead_that_no_worker_could_train_do_not_count(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.describe(session, "worker-1", gpus=2)
        for run_id in submit(session, CYD, 3):
            run = get(session, run_id)
            run.spec = {**run.spec, "resources": {"gpus": 4}}
        (last,) = submit(session, CYD)
        assert why(session, last).ahead == 0


def test_a_run_whose_only_worker_is_drained_still_knows_its_place(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.describe(session, "worker-1", gpus=2)
        workers.describe(session, "worker-4", gpus=4)
        workers.drain(session, "worker-4")
        submit(session, CYD, age_s=60)
        (last,) = submit(session, CYD)
        run = get(session, last)
        run.spec = {**run.spec, "resources": {"gpus": 4}}
        session.flush()
        assert why(session, last).ahead == 1


def test_a_reached_quota_is_the_reason(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.begin(session, "worker-1")
        have_used(session, CYD, 3600)  # so that ada's runs come first where no quota holds them
        run_ids = submit(session, ADA, 2)
        (other,) = submit(session, CYD)
        claims.claim(session, "worker-1", LEASE, RUNNING_1)
        (waits,) = [run_id for run_id in run_ids if get(session, run_id).status == "queued"]
        held = why_waiting(session, get(session, waits), RUNNING_1)
        assert held.ahead is None
        assert [reason.text for reason in held.reasons] == [
            "the user 'ada' has 1 runs running of 1 allowed; it waits until there is room"
        ]
        assert why_waiting(session, get(session, other), RUNNING_1).ahead == 0


def test_without_a_worker_that_is_alive_nothing_begins(engine: Engine) -> None:
    with transaction(engine) as session:
        (run_id,) = submit(session, ADA)
        (reason,) = why(session, run_id).reasons
        assert reason.kind == "no worker"
        assert "none was heard of within a day" in reason.text
        seen_ago(session, "worker-1", 90)
        (reason,) = why(session, run_id).reasons
        assert "1 known, the last was heard of 90 s ago" in reason.text
        workers.begin(session, "worker-1")
        assert why(session, run_id).reasons == ()


def test_a_drain_is_the_reason(engine: Engine) -> None:
    with transaction(engine) as session:
        (run_id,) = submit(session, ADA)
        workers.begin(session, "worker-1")
        workers.drain(session, "worker-1")
        assert kinds(why(session, run_id)) == ["drained"]
        workers.end_drain(session, "worker-1")
        workers.drain(session, EVERY_WORKER)
        assert "the whole service" in why(session, run_id).reasons[0].text


def test_a_paused_run_says_so_and_one_that_is_over_says_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        (run_id,) = submit(session, ADA)
        pauses.pause(session, run_id)
        assert kinds(why(session, run_id)) == ["paused"]
        pauses.resume(session, run_id)
        claimed = claim_run(session)
        assert why(session, run_id).reasons == ()
        endings.finish(session, run_id, claimed.token, "succeeded")
        assert why(session, run_id).takes_s is None


def test_the_estimate_follows_the_paces_of_runs_like_it(engine: Engine) -> None:
    with transaction(engine) as session:
        for seconds in (80, 100, 120):
            finish_one(session, seconds)
        workers.begin(session, "worker-1")
        submit(session, ADA, 2)
        claim_run(session, "worker-1")
        *_, last = submit(session, ADA, 2)
        found = why(session, last)
    assert found.compared_with == 3
    assert found.takes_s is not None
    assert (found.takes_s.low, found.takes_s.median, found.takes_s.high) == pytest.approx((90, 100, 110), abs=2)
    assert "busy" in kinds(found)
    assert found.ahead == 2
    assert found.starts_in_s is not None  # the rest of the run that is trained, and two more
    assert found.starts_in_s.median == pytest.approx(300, abs=5)


def test_where_nothing_has_finished_the_estimate_is_unknown(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.begin(session, "worker-1")
        *_, last = submit(session, ADA, 2)
        found = why(session, last)
        assert (found.ahead, found.starts_in_s, found.takes_s, found.compared_with) == (1, None, None, 0)
