"""Whose run is claimed next, what quotas hold back, and what attempts cost, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from store.core.db import transaction
from store.core.errors import QuotaExceeded, WorkerNotFound
from store.core.models import OwnerRow, Run
from store.runs import claims, endings, leases
from store.runs.lifecycle import get
from store.scheduling import quotas, workers
from store.scheduling.accounts import EQUAL, Quota, Sharing
from store.scheduling.owners import HALF_LIFE_S, Owner
from store.scheduling.workers import EVERY_WORKER
from tests.support.sharing import (
    ADA,
    BOB,
    CYD,
    RUNNING_1,
    began_ago,
    claim_users,
    have_used,
    seen_ago,
    submit,
    used,
)
from tests.support.store import LEASE, claim_run, create_run, expire_lease

HOUR = 3600.0
HOURS_1 = Sharing(default_quota=Quota(device_hours=1))


def test_one_run_of_a_user_comes_before_the_thousand_of_another(engine: Engine) -> None:
    with transaction(engine) as session:
        submit(session, Owner(user="ada"), 50, age_s=100)
        assert claim_users(session, 1) == ["ada"]
        began_ago(session, session.scalars(select(Run.id).where(Run.status == "running")).one(), 60)
        submit(session, CYD)
        assert claim_users(session, 3) == ["cyd", "ada", "ada"]


def test_priority_comes_before_the_share(engine: Engine) -> None:
    with transaction(engine) as session:
        have_used(session, CYD, 100 * HOUR)
        submit(session, Owner(user="ada"))
        submit(session, CYD, priority=1)
        assert claim_users(session, 2) == ["cyd", "ada"]


def test_who_has_used_least_for_its_weight_comes_first(engine: Engine) -> None:
    ada, bob = Owner(user="ada"), Owner(user="bob")
    weighted = Sharing(user_weights={"bob": 4})
    for sharing, first in ((EQUAL, "ada"), (weighted, "bob")):
        with transaction(engine) as session:
            have_used(session, ada, 1 * HOUR)
            have_used(session, bob, 2 * HOUR)
            submit(session, ada)
            submit(session, bob)
            assert claim_users(session, 2, sharing)[0] == first


def test_the_share_is_between_teams_and_then_within_them(engine: Engine) -> None:
    with transaction(engine) as session:
        have_used(session, ADA, 3 * HOUR)
        have_used(session, BOB, 1 * HOUR)
        have_used(session, CYD, 2 * HOUR)
        for owner in (ADA, BOB, CYD):
            submit(session, owner)
        assert claim_users(session, 3) == ["cyd", "bob", "ada"]  # vision has used 4 h, cyd 2 h
    with transaction(engine) as session:
        for owner in (ADA, BOB, CYD):
            submit(session, owner)
        favoured = Sharing(team_weights={"vision": 100})
        assert claim_users(session, 3, favoured) == ["bob", "ada", "cyd"]


def test_of_users_who_have_used_nothing_the_oldest_run_comes_first(engine: Engine) -> None:
    with transaction(engine) as session:
        submit(session, ADA, age_s=5)
        submit(session, CYD, age_s=50)
        assert claim_users(session, 2) == ["cyd", "ada"]


def test_what_was_used_counts_half_after_a_day(engine: Engine) -> None:
    with transaction(engine) as session:
        have_used(session, ADA, 3 * HOUR, age_s=HALF_LIFE_S)
        have_used(session, CYD, 2 * HOUR)
        submit(session, CYD)
        submit(session, ADA)
        assert claim_users(session, 2) == ["ada", "cyd"]


@pytest.mark.parametrize("ending", ["finish", "hand over", "lose", "expire"])
def test_however_an_attempt_ends_its_time_is_counted(engine: Engine, ending: str) -> None:
    with transaction(engine) as session:
        have_used(session, CYD, 1 * HOUR, age_s=HALF_LIFE_S)
        (run_id,) = submit(session, CYD)
        claimed = claim_run(session)
        began_ago(session, run_id, 60)
        match ending:
            case "finish":
                endings.finish(session, run_id, claimed.token, "failed", error="no")
            case "hand over":
                endings.hand_over(session, run_id, claimed.token)
            case "lose":
                endings.requeue(session, run_id, claimed.token, error="x", error_kind="X", max_attempts=3)
            case _:
                expire_lease(session, run_id)
                assert endings.requeue_expired(session, 3) == [run_id]
        assert used(session, CYD) == pytest.approx(0.5 * HOUR + 60, abs=5)


def on_four_gpus(session: Session, run_id: str) -> None:
    run = get(session, run_id)
    run.spec = {**run.spec, "resources": {"gpus": 4}}
    session.flush()


def test_a_run_on_several_gpus_uses_as_many_devices(engine: Engine) -> None:
    with transaction(engine) as session:
        submit(session, ADA, 2, age_s=10)
        claimed = claim_run(session)
        on_four_gpus(session, claimed.run_id)
        began_ago(session, claimed.run_id, 60)
        have_used(session, CYD, 120)
        submit(session, CYD)
        assert quotas.limits(session, ADA, HOURS_1, lambda *_: 0)[0].used == pytest.approx(240 / HOUR, rel=0.1)
        assert claim_users(session, 1) == ["cyd"]  # ada's four have used more, though it runs for half as long
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")
        assert used(session, ADA) == pytest.approx(240, rel=0.1)
        assert quotas.limits(session, ADA, HOURS_1, lambda *_: 0)[0].used == pytest.approx(240 / HOUR, rel=0.1)


def test_who_trains_now_gives_way_to_who_does_not(engine: Engine) -> None:
    with transaction(engine) as session:
        submit(session, ADA, 2, age_s=10)
        submit(session, CYD)
        claimed = claim_run(session)
        assert get(session, claimed.run_id).user == "ada"
        began_ago(session, claimed.run_id, 60)
        assert claim_users(session, 2) == ["cyd", "ada"]
        assert used(session, ADA) == 0  # until the attempt ends


def test_claims_at_once_share_between_users_and_give_no_run_twice(engine: Engine) -> None:
    users = [Owner(user=f"user-{n}", team="abc"[n % 3]) for n in range(6)]
    with transaction(engine) as session:
        expected = [run_id for owner in users for run_id in submit(session, owner, 8)]
    claimers = 8
    barrier = Barrier(claimers)

    def claim_until_empty(number: int) -> list[str]:
        barrier.wait()
        claimed: list[str] = []
        while True:
            with transaction(engine) as session:
                ours = claims.claim(session, f"worker-{number}", LEASE)
            if ours is None:
                return claimed
            claimed.append(ours.run_id)
            with transaction(engine) as session:
                endings.finish(session, ours.run_id, ours.token, "succeeded")

    with ThreadPoolExecutor(claimers) as pool:
        claimed = [run_id for ours in pool.map(claim_until_empty, range(claimers)) for run_id in ours]
    assert sorted(claimed) == sorted(expected)
    with transaction(engine) as session:
        assert min(used(session, owner) for owner in users) > 0


def test_a_claim_passes_by_a_run_that_another_claims_and_takes_the_next_priority(postgres_engine: Engine) -> None:
    with transaction(postgres_engine) as session:
        create_run(session, "urgent", priority=5)
        create_run(session, "other")
    with transaction(postgres_engine) as first, transaction(postgres_engine) as second:
        assert get(first, claim_run(first).run_id).name == "urgent"
        assert get(second, claim_run(second).run_id).name == "other"


# --- quotas -----------------------------------------------------------------------------------------------------


def test_a_user_at_the_limit_of_running_runs_waits_and_others_do_not(engine: Engine) -> None:
    with transaction(engine) as session:
        submit(session, ADA, 3, priority=9)
        submit(session, CYD, 2)
        assert claim_users(session, 9, RUNNING_1) == ["ada", "cyd", "cyd"]
        reached = quotas.reached(session, ADA, RUNNING_1)
        assert str(reached) == "the user 'ada' has 1 runs running of 1 allowed"


def test_a_team_is_limited_together(engine: Engine) -> None:
    sharing = Sharing(team_quotas={"vision": Quota(running=2)})
    with transaction(engine) as session:
        submit(session, ADA, 2)
        submit(session, BOB, 2)
        assert sorted(claim_users(session, 9, sharing)) == ["ada", "bob"]
        assert quotas.reached(session, BOB, sharing) is not None


def test_device_hours_of_the_last_day_hold_runs_back(engine: Engine) -> None:
    sharing = Sharing(default_quota=Quota(device_hours=2))
    with transaction(engine) as session:
        submit(session, ADA, 3)
        claimed = claims.claim(session, "worker-1", LEASE, sharing)
        assert claimed is not None
        began_ago(session, claimed.run_id, 1 * HOUR)
        assert quotas.reached(session, ADA, sharing) is None
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")
        began_ago(session, claimed.run_id, 30 * HOUR)  # only 24 of which count
        reached = quotas.reached(session, ADA, sharing)
        assert reached is not None
        assert reached.used == pytest.approx(24, abs=0.1)
        assert claim_users(session, 1, sharing) == []
        assert claim_users(session, 1) == ["ada"]


def test_claims_at_once_never_exceed_a_quota(engine: Engine) -> None:
    sharing = Sharing(default_quota=Quota(running=3), team_quotas={"vision": Quota(running=4)})
    with transaction(engine) as session:
        submit(session, ADA, 10)
        submit(session, BOB, 10)
    claimers = 8
    barrier = Barrier(claimers)

    def claim_twice(number: int) -> int:
        barrier.wait()
        count = 0
        for _ in range(2):
            with transaction(engine) as session:
                count += claims.claim(session, f"worker-{number}", LEASE, sharing) is not None
        return count

    with ThreadPoolExecutor(claimers) as pool:
        assert sum(pool.map(claim_twice, range(claimers))) == 4


def test_more_queued_runs_than_allowed_are_refused(engine: Engine) -> None:
    sharing = Sharing(user_quotas={"ada": Quota(queued=2)}, default_quota=Quota(queued=5))
    with transaction(engine) as session:
        submit(session, ADA, 2)
        quotas.require_room(session, ADA, sharing)
        submit(session, BOB, 5)
        quotas.require_room(session, BOB, sharing)
        submit(session, ADA)
        with pytest.raises(QuotaExceeded, match="the user 'ada' would have 3 runs queued, and may have 2"):
            quotas.require_room(session, ADA, sharing)


def test_submissions_at_once_never_exceed_a_quota_nor_wait_in_a_circle(engine: Engine) -> None:
    sharing = Sharing(default_quota=Quota(queued=6), team_quotas={"vision": Quota(queued=8)})
    submitters = 6
    barrier = Barrier(submitters)

    def submit_some(number: int) -> int:
        barrier.wait()
        taken = 0
        for _ in range(3):
            with suppress(QuotaExceeded), transaction(engine) as session:
                owner = (ADA, BOB)[number % 2]
                submit(session, owner)
                quotas.require_room(session, owner, sharing)
                taken += 1
        return taken

    with ThreadPoolExecutor(submitters) as pool:
        assert sum(pool.map(submit_some, range(submitters))) == 8
    with transaction(engine) as session:
        assert len(session.scalars(select(Run.id)).all()) == 8


# --- drains and workers -----------------------------------------------------------------------------------------


def test_a_drained_worker_claims_nothing_until_its_drain_is_ended(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.begin(session, "worker-1")
        submit(session, ADA, 2)
        workers.drain(session, "worker-1")
        workers.drain(session, "worker-1")
        assert claims.claim(session, "worker-1", LEASE) is None
        assert claims.claim(session, "worker-2", LEASE) is not None
        workers.end_drain(session, "worker-1")
        assert claims.claim(session, "worker-1", LEASE) is not None


def test_a_worker_that_is_started_again_is_not_drained_unless_the_service_is(engine: Engine) -> None:
    with transaction(engine) as session:
        for name in ("worker-1", "worker-2"):
            workers.begin(session, name)
            workers.drain(session, name)
        submit(session, ADA, 2)
        workers.begin(session, "worker-1")
        assert claims.claim(session, "worker-2", LEASE) is None
        assert claims.claim(session, "worker-1", LEASE) is not None
        workers.drain(session, EVERY_WORKER)
        workers.begin(session, "worker-1")
        assert claims.claim(session, "worker-1", LEASE) is None


def test_a_drained_service_claims_nothing_and_what_runs_is_kept(engine: Engine) -> None:
    with transaction(engine) as session:
        submit(session, ADA, 2)
        claimed = claim_run(session)
        workers.drain(session, EVERY_WORKER)
        assert claims.claim(session, "worker-2", LEASE) is None
        leases.renew(session, claimed.run_id, claimed.token, LEASE)
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")
        workers.end_drain(session, EVERY_WORKER)
        assert claims.claim(session, "worker-2", LEASE) is not None


def test_a_worker_that_nobody_knows_cannot_be_drained(engine: Engine) -> None:
    with transaction(engine) as session, pytest.raises(WorkerNotFound, match="there is no worker 'worker-9'"):
        workers.drain(session, "worker-9")


def test_workers_are_alive_for_as_long_as_they_are_heard_of(engine: Engine) -> None:
    with transaction(engine) as session:
        seen_ago(session, "worker-0", 2 * 24 * HOUR)
        seen_ago(session, "worker-1", 40)
        submit(session, ADA)
        claimed = claim_run(session, "worker-2")
        leases.renew(session, claimed.run_id, claimed.token, LEASE)  # a heartbeat, though it never said that it began
        found = {worker.name: (worker.is_alive, worker.run_id) for worker in workers.list_workers(session)}
        assert found == {"worker-1": (False, None), "worker-2": (True, claimed.run_id)}
        workers.end(session, "worker-2")
        assert [worker.name for worker in workers.list_workers(session)] == ["worker-1"]


def test_a_worker_that_was_not_heard_of_for_a_day_is_not_listed(engine: Engine) -> None:
    with transaction(engine) as session:
        seen_ago(session, "worker-1", 23 * HOUR)
        seen_ago(session, "worker-2", 25 * HOUR)
        assert [worker.name for worker in workers.list_workers(session)] == ["worker-1"]


def test_an_owner_is_stored_once(engine: Engine) -> None:
    with transaction(engine) as session:
        submit(session, ADA, 2)
        assert len(session.scalars(select(OwnerRow).where(OwnerRow.user == "ada")).all()) == 1
