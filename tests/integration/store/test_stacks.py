"""Runs that are claimed to be trained together, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.orm import Session

from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from store.core.db import now, transaction
from store.core.models import Attempt, OwnerRow, Run
from store.runs import claims, endings, lifecycle, recording, stacks
from store.runs.claims import Claim
from store.scheduling import explain, fair_share, quotas
from store.scheduling.accounts import EQUAL, Quota, Sharing
from store.scheduling.owners import Owner
from tests.support.store import LEASE, SPEC, epoch_record, expire_lease

ADA, BOB = Owner(user="ada", team="vision"), Owner(user="bob")


def queue(session: Session, count: int, *, owner: Owner = ADA, priority: int = 0, **settings: Any) -> list[str]:
    """Ids of queued runs that differ in their seeds, oldest first."""
    ids: list[str] = []
    for seed in range(count):
        named = {key.replace("__", "."): value for key, value in settings.items()}
        request = RunRequest(spec=SPEC, set={"seed": seed} | named)
        ids.append(lifecycle.create(session, request, request.resolve(), owner=owner, priority=priority).id)
    return ids


def claim(session: Session, most_members: int = 16, **options: Any) -> Claim:
    claimed = claims.claim(session, options.pop("worker", "worker-1"), LEASE, **options, most_members=most_members)
    assert claimed is not None
    return claimed


def ids_of(claimed: Claim) -> list[str]:
    return [claimed.run_id, *(fellow.run_id for fellow in claimed.fellows)]


def test_waiting_runs_of_one_owner_that_are_alike_are_claimed_together_in_their_order(engine: Engine) -> None:
    with transaction(engine) as session:
        expected = queue(session, 3)
        claimed = claim(session)
        assert ids_of(claimed) == expected
        assert claimed.is_stacked
        assert all(fellow.is_stacked and not fellow.fellows for fellow in claimed.fellows)
    with transaction(engine) as session:
        for each in (claimed, *claimed.fellows):
            run = lifecycle.get(session, each.run_id)
            (attempt,) = lifecycle.attempts(session, each.run_id)
            assert (run.status, run.lease_worker, run.token, run.attempt) == ("running", "worker-1", each.token, 1)
            assert (attempt.worker, attempt.outcome, attempt.stack_size) == ("worker-1", "running", 3)


def test_no_more_are_claimed_than_are_allowed(engine: Engine) -> None:
    with transaction(engine) as session:
        expected = queue(session, 5)
        assert ids_of(claim(session, most_members=3)) == expected[:3]
        assert ids_of(claim(session, most_members=1)) == expected[3:4]
        assert not claim(session, most_members=1).is_stacked


def test_one_that_waits_by_itself_is_a_stack_of_one(engine: Engine) -> None:
    with transaction(engine) as session:
        queue(session, 1)
        claimed = claim(session)
        assert claimed.is_stacked
        assert lifecycle.attempts(session, claimed.run_id)[0].stack_size == 1


def test_where_each_run_is_trained_alone_there_are_no_stacks(engine: Engine) -> None:
    with transaction(engine) as session:
        queue(session, 1)
        claimed = claim(session, most_members=1)
        assert not claimed.is_stacked
        assert lifecycle.attempts(session, claimed.run_id)[0].stack_size is None


def test_what_cannot_be_stacked_is_trained_as_a_run_alone(engine: Engine) -> None:
    with transaction(engine) as session:
        queue(session, 2, generator__norm={"kind": "batch"})
        claimed = claim(session)
        assert not claimed.is_stacked
        assert not claimed.fellows


@pytest.mark.parametrize(
    "other",
    [
        {"owner": BOB},
        {"priority": -1},
        {"generator__width": 8},
        {"training__steps_per_epoch": 5},
        {"generator__norm": {"kind": "batch"}},
        {"resources__labels": ["fast"]},
    ],
)
def test_runs_of_others_of_another_priority_or_kind_are_not_claimed_with_it(engine: Engine, other: Any) -> None:
    with transaction(engine) as session:
        first = queue(session, 2)
        queue(session, 1, **other)
        assert ids_of(claim(session)) == first


def test_runs_between_that_are_not_alike_keep_their_place(engine: Engine) -> None:
    with transaction(engine) as session:
        [first] = queue(session, 1)
        [between] = queue(session, 1, generator__width=8)
        [last] = queue(session, 1)
        assert ids_of(claim(session)) == [first, last]
        assert ids_of(claim(session)) == [between]


def test_a_higher_priority_of_anybody_goes_first(engine: Engine) -> None:
    with transaction(engine) as session:
        queue(session, 3)
        [urgent] = queue(session, 1, owner=BOB, priority=5)
        assert ids_of(claim(session)) == [urgent]


def test_a_quota_of_running_runs_counts_each_of_them(engine: Engine) -> None:
    sharing = Sharing(user_quotas={"ada": Quota(running=3)})
    with transaction(engine) as session:
        expected = queue(session, 5)
        assert ids_of(claim(session, sharing=sharing)) == expected[:3]
        assert claims.claim(session, "worker-2", LEASE, sharing, most_members=16) is None


def test_those_that_are_trained_together_use_one_device_together(engine: Engine) -> None:
    with transaction(engine) as session:
        queue(session, 4)
        claimed = claim(session)
        at = session.scalars(select(now())).one()
        session.execute(update(Attempt).values(started_at=at - 3600))
        hours = next(
            limit.used
            for limit in quotas.limits(session, ADA, Sharing(user_quotas={"ada": Quota(device_hours=9)}), lambda *_: 0)
        )
        assert hours == pytest.approx(1, abs=0.01)
        [use] = [use for use in fair_share.uses(session) if use.owner == ADA]
        assert use.device_seconds == pytest.approx(3600, rel=0.02)
        assert use.running == 4
        for each in (claimed, *claimed.fellows):
            endings.finish(session, each.run_id, each.token, "cancelled")
        row = session.get_one(OwnerRow, ADA.id)
        assert row.device_seconds == pytest.approx(3600, rel=0.02)


def test_they_are_only_so_many_as_their_memory_allows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "member_bytes", lambda _: stacks.MOST_BYTES // 2)
    with transaction(engine) as session:
        queue(session, 4)
        assert len(ids_of(claim(session))) == 2


def test_a_gpus_memory_that_they_ask_for_is_that_of_all_of_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacks, "member_bytes", lambda _: 10**8)
    with transaction(engine) as session:
        queue(session, 9, resources__gpu_memory_gb=1)
        assert len(ids_of(claim(session))) == (10**9 - stacks.CONTEXT_BYTES) // 10**8


def test_what_a_stack_has_begun_goes_on_as_a_stack_with_those_that_have_come_as_far(engine: Engine) -> None:
    with transaction(engine) as session:
        first, second, behind = queue(session, 3)
        claimed = claim(session)
        for each in (claimed, *claimed.fellows):
            if each.run_id != behind:
                recording.record_epoch(session, epoch_record(each, 1))
            endings.hand_over(session, each.run_id, each.token)
        again = claim(session)
        assert ids_of(again) == [first, second]
        alone = claim(session)
        assert ids_of(alone) == [behind]
        for each in (again, *again.fellows):
            endings.hand_over(session, each.run_id, each.token)
        assert claim(session, most_members=1).is_stacked


def test_what_a_run_alone_has_begun_goes_on_alone(engine: Engine) -> None:
    with transaction(engine) as session:
        [first] = queue(session, 1)
        claimed = claim(session, most_members=1)
        recording.record_epoch(session, epoch_record(claimed, 1))
        endings.hand_over(session, first, claimed.token)
        [other] = queue(session, 1)
        session.execute(update(Run).where(Run.id == other).values(epochs_done=1))
        assert ids_of(again := claim(session)) == [first]
        assert not again.is_stacked


def test_whose_attempt_was_lost_is_trained_without_others(engine: Engine) -> None:
    with transaction(engine) as session:
        expected = queue(session, 3)
        claimed = claim(session)
        for each in (claimed, *claimed.fellows):
            recording.record_epoch(session, epoch_record(each, 1))
            endings.requeue(session, each.run_id, each.token, error="died", error_kind="TrainingDied", max_attempts=3)
        again = [claim(session) for _ in expected]
        assert [ids_of(each) for each in again] == [[run_id] for run_id in expected]
        assert all(each.is_stacked for each in again)


def test_those_that_were_lost_with_their_worker_go_on_together(engine: Engine) -> None:
    with transaction(engine) as session:
        expected = queue(session, 2)
        claimed = claim(session)
        for each in (claimed, *claimed.fellows):
            recording.record_epoch(session, epoch_record(each, 1))
            expire_lease(session, each.run_id)
    with transaction(engine) as session:
        assert sorted(endings.requeue_expired(session, max_attempts=3)) == sorted(expected)
        assert ids_of(claim(session)) == expected


def test_whoever_asks_why_learns_with_how_many_others_a_run_is_trained(engine: Engine) -> None:
    with transaction(engine) as session:
        queue(session, 3)
        claimed = claim(session)
        queue(session, 1, owner=BOB)
        alone = claim(session, worker="worker-2")

        def why(held: Claim) -> list[tuple[str, str]]:
            waiting = explain.why_waiting(session, lifecycle.get(session, held.run_id), EQUAL)
            return [(reason.kind, reason.text) for reason in waiting.reasons]

        words = "it trains together with 2 others, in one process and as one stack"
        assert why(claimed) == why(claimed.fellows[1]) == [("together", words)]
        assert why(alone) == []
        for fellow in claimed.fellows:
            endings.finish(session, fellow.run_id, fellow.token, "cancelled")
        assert why(claimed) == []


def test_runs_of_an_earlier_version_which_stored_no_keys_are_claimed_together_with_others(engine: Engine) -> None:
    with transaction(engine) as session:
        expected = queue(session, 2)
        [unlike] = queue(session, 1, generator__width=8)
        session.execute(update(Run).values(stack_key=None))
        expected += queue(session, 2)
        assert ids_of(claim(session)) == expected
        assert ids_of(claim(session)) == [unlike]


def test_a_key_that_is_stored_is_not_believed(engine: Engine) -> None:
    with transaction(engine) as session:
        [first] = queue(session, 1)
        [unlike] = queue(session, 1, generator__width=8)
        session.execute(update(Run).values(stack_key=lifecycle.get(session, first).stack_key))
        assert ids_of(claim(session)) == [first]
        assert ids_of(claim(session)) == [unlike]


def test_more_members_take_no_more_statements(engine: Engine) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    with transaction(engine) as session:
        queue(session, 4)
    event.listen(engine, "before_cursor_execute", note)
    with transaction(engine) as session:
        assert len(ids_of(claim(session))) == 4
    few = len(statements)
    event.remove(engine, "before_cursor_execute", note)
    with transaction(engine) as session:
        queue(session, 16)
    statements.clear()
    event.listen(engine, "before_cursor_execute", note)
    with transaction(engine) as session:
        assert len(ids_of(claim(session))) == 16
    event.remove(engine, "before_cursor_execute", note)
    assert len(statements) == few


def test_runs_that_cannot_be_trained_with_it_are_not_read(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    class Noted(RunSpec):
        @classmethod
        def model_validate(cls, obj: Any, **options: Any) -> Any:
            read.append(obj)
            return super().model_validate(obj, **options)

    monkeypatch.setattr(stacks, "RunSpec", Noted)
    with transaction(engine) as session:
        queue(session, 1)
        for width in range(1, 20):
            queue(session, 1, generator__width=width)
        assert len(ids_of(claim(session))) == 1
    assert read == []


def test_claimers_at_once_never_get_the_same_runs(engine: Engine) -> None:
    with transaction(engine) as session:
        expected = queue(session, 24)
    barrier = Barrier(4)

    def claim_until_empty(worker: int) -> list[str]:
        barrier.wait()
        found: list[str] = []
        while True:
            with transaction(engine) as session:
                ours = claims.claim(session, f"worker-{worker}", LEASE, EQUAL, most_members=4)
            if ours is None:
                return found
            found += ids_of(ours)

    with ThreadPoolExecutor(4) as pool:
        claimed = [run_id for ours in pool.map(claim_until_empty, range(4)) for run_id in ours]
    assert sorted(claimed) == sorted(expected)
    with transaction(engine) as session:
        assert len(session.scalars(select(Attempt)).all()) == 24
