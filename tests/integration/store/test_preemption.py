"""Runs of low priority that give way to queued ones of a higher, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from store.core.db import clock, transaction
from store.core.models import Attempt, Epoch, Run
from store.runs import endings, leases, lifecycle, pauses
from store.runs.claims import Claim
from store.runs.lifecycle import attempts, get
from store.runs.recording import record_epoch
from store.scheduling import preemption, workers
from store.scheduling.accounts import EQUAL, Sharing
from store.scheduling.explain import why_waiting
from store.scheduling.preemption import Asked
from store.scheduling.requirements import GB
from store.scheduling.workers import EVERY_WORKER
from tests.support.comparison import create_comparison
from tests.support.sharing import ADA, RUNNING_1, submit
from tests.support.store import LEASE, claim_run, create_run, epoch_record, expire_lease, outcomes

PATIENCE, REST = timedelta(seconds=60), timedelta(hours=1)


def ask(session: Session, sharing: Sharing = EQUAL) -> Asked | None:
    session.expire_all()
    return preemption.ask(session, patience=PATIENCE, rest=REST, sharing=sharing)


def run_one(session: Session, priority: int = 0, worker: str = "worker-1") -> Claim:
    """A run of that priority, claimed."""
    create_run(session, priority=priority)
    return claim_run(session, worker)


def wait_for(session: Session, priority: int = 5, seconds: float = 100) -> str:
    """A run of that priority that has waited for so long."""
    run = create_run(session, priority=priority)
    run.created_at -= seconds
    session.flush()
    return run.id


def saved_ago(session: Session, claim: Claim, seconds: float) -> None:
    """The attempt recorded an epoch with a checkpoint so long ago."""
    record_epoch(session, epoch_record(claim, 1))
    values = {"recorded_at": clock(session) - seconds}
    session.execute(update(Epoch).where(Epoch.run_id == claim.run_id).values(**values))


def test_a_run_of_lower_priority_gives_way_with_its_epoch_and_is_queued_again(engine: Engine) -> None:
    with transaction(engine) as session:
        low = run_one(session)
        urgent = wait_for(session)
        assert ask(session) == Asked(run_id=low.run_id, gives_way_to=urgent)
        assert ask(session) is None  # one is enough
        assert leases.renew(session, low.run_id, low.token, LEASE).pause_requested
        assert not get(session, low.run_id).pause_requested  # which only people ask for
        assert endings.pause(session, low.run_id, low.token) == "queued"
        run = get(session, low.run_id)
        assert (run.status, run.gives_way_to, run.lease_worker) == ("queued", None, None)
        (attempt,) = attempts(session, low.run_id)
        assert (attempt.outcome, attempt.error) == ("gave way", f"gave way to run {urgent}, which has priority 5")
        assert [claim_run(session).run_id for _ in range(2)] == [urgent, low.run_id]


@pytest.mark.parametrize(("priority", "seconds"), [(0, 1000), (-1, 1000), (5, 30)])
def test_only_a_strictly_higher_priority_that_has_waited_is_given_way_to(
    engine: Engine, priority: int, seconds: float
) -> None:
    with transaction(engine) as session:
        run_one(session)
        wait_for(session, priority, seconds)
        assert ask(session) is None


def test_the_lowest_priority_gives_way_then_who_saved_last_then_the_youngest(engine: Engine) -> None:
    with transaction(engine) as session:
        higher, old, saved, young = (run_one(session, priority) for priority in (2, 1, 1, 1))
        for age_s, claim in ((40, higher), (300, old), (400, saved), (300, young)):
            at = clock(session) - age_s
            session.execute(update(Attempt).where(Attempt.run_id == claim.run_id).values(started_at=at))
            session.execute(update(Run).where(Run.id == claim.run_id).values(created_at=at))
        session.execute(update(Run).where(Run.id == old.run_id).values(created_at=1.0))
        started = session.get_one(Attempt, (young.run_id, 1), populate_existing=True).started_at
        session.execute(update(Attempt).where(Attempt.run_id == old.run_id).values(started_at=started))
        saved_ago(session, saved, 10)
        asked: list[str] = []
        for _ in range(4):
            wait_for(session, priority=9 - len(asked))
            found = ask(session)
            assert found is not None
            asked.append(found.run_id)
            claim_run(session)  # it is claimed elsewhere, and its place is taken by the next
            session.execute(update(Run).where(Run.id == found.run_id).values(cancel_requested=True))
        assert asked == [saved.run_id, young.run_id, old.run_id, higher.run_id]


def test_none_gives_way_twice_within_its_rest(engine: Engine) -> None:
    with transaction(engine) as session:
        low = run_one(session)
        wait_for(session)
        ask(session)
        endings.pause(session, low.run_id, low.token)
        endings.finish(session, (urgent := claim_run(session)).run_id, urgent.token, "succeeded")
        assert claim_run(session).run_id == low.run_id
        wait_for(session)
        assert ask(session) is None
        ended = clock(session) - REST.total_seconds() - 1
        session.execute(update(Attempt).where(Attempt.outcome == "gave way").values(ended_at=ended))
        found = ask(session)
        assert found is not None
        assert found.run_id == low.run_id


def test_who_was_given_way_to_waits_its_patience_again_before_another_is_asked(engine: Engine) -> None:
    with transaction(engine) as session:
        first, second = run_one(session), run_one(session)
        urgent = wait_for(session)
        found = ask(session)
        assert found is not None
        (given,) = [claim for claim in (first, second) if claim.run_id == found.run_id]
        endings.pause(session, given.run_id, given.token)
        assert ask(session) is None  # its worker has not claimed yet
        session.execute(update(Run).where(Run.id == urgent).values(waits_since=clock(session) - 100))
        assert ask(session) is not None


def test_a_run_that_comes_back_into_the_queue_waits_from_then_on(engine: Engine) -> None:
    with transaction(engine) as session:
        run_one(session)
        urgent = wait_for(session)
        pauses.pause(session, urgent)
        pauses.resume(session, urgent)
        assert ask(session) is None
        lost = claim_run(session)
        assert lost.run_id == urgent
        endings.hand_over(session, urgent, lost.token)
        assert ask(session) is None


def test_what_cannot_give_way_is_not_asked(engine: Engine) -> None:
    with transaction(engine) as session:
        create_comparison(session)
        assert claim_run(session, "worker-0") is not None  # it has no checkpoint
        for worker in ("worker-1", "worker-2", "worker-3", "worker-4"):
            workers.begin(session, worker)
        drained, silent, pausing, cancelled = (run_one(session, worker=f"worker-{n}") for n in (1, 2, 3, 4))
        workers.drain(session, "worker-1")
        expire_lease(session, silent.run_id)
        pauses.pause(session, pausing.run_id)
        lifecycle.cancel(session, cancelled.run_id)
        wait_for(session)
        assert ask(session) is None
        workers.end_drain(session, "worker-1")
        workers.drain(session, EVERY_WORKER)
        assert ask(session) is None
        workers.end_drain(session, EVERY_WORKER)
        found = ask(session)
        assert found is not None
        assert found.run_id == drained.run_id


@pytest.mark.parametrize(
    ("gpu_gb", "running", "waiting", "gives_way"),
    [
        (80, {}, {"device": "cuda"}, True),
        (80, {"device": "cpu"}, {"device": "cuda"}, False),
        (None, {}, {"device": "cuda"}, False),
        (None, {"device": "cpu"}, {}, True),  # without a GPU all is trained on the CPU
        (80, {}, {}, True),
        (80, {}, {"gpu_memory_gb": 60}, True),
        (80, {"gpu_memory_gb": 20}, {"gpu_memory_gb": 20}, True),
        (80, {"gpu_memory_gb": 20}, {"device": "cpu"}, True),
        (80, {"gpu_memory_gb": 20}, {"gpu_memory_gb": 40}, False),
        (80, {"gpu_memory_gb": 20}, {}, False),
        (80, {"device": "cpu"}, {}, False),
        (40, {}, {"gpu_memory_gb": 60}, False),
        (80, {}, {"gpus": 2}, True),
        (80, {}, {"gpus": 4}, False),
        (80, {}, {"gpus": 4, "gpu_memory_gb": 20}, False),
        (80, {"device": "cpu"}, {"gpus": 4, "device": "cpu"}, False),
        (None, {}, {"gpus": 2}, True),  # in as many processes
        (None, {}, {"gpus": 4}, False),
    ],
)
def test_a_run_gives_way_where_the_other_can_take_its_place(
    engine: Engine, gpu_gb: int | None, running: dict[str, Any], waiting: dict[str, Any], gives_way: bool
) -> None:
    with transaction(engine) as session:
        low = run_one(session)
        urgent = get(session, wait_for(session))
        memory = None if gpu_gb is None else gpu_gb * GB
        workers.describe(session, "worker-1", gpus=2, gpu_memory=memory)
        workers.describe(session, "worker-2", gpus=8, gpu_memory=80 * GB)  # it has nothing to do with this place
        for run, resources in ((get(session, low.run_id), running), (urgent, waiting)):
            run.spec = {**run.spec, "resources": {"device": "auto", "gpu_memory_gb": None, **resources}}
        session.flush()
        assert (ask(session) is not None) is gives_way


@pytest.mark.parametrize("resources", [{"gpus": 4}, {"gpu_memory_gb": 60}, {"labels": ["h100"]}])
def test_one_that_no_worker_could_train_does_not_stand_in_the_way_of_its_users_next(
    engine: Engine, resources: dict[str, Any]
) -> None:
    with transaction(engine) as session:
        low = run_one(session)
        impossible, urgent = get(session, wait_for(session, seconds=200)), wait_for(session)
        workers.describe(session, "worker-1", gpus=2, gpu_memory=40 * GB)
        impossible.spec = {**impossible.spec, "resources": {"device": "auto", "gpu_memory_gb": None, **resources}}
        session.flush()
        assert ask(session) == Asked(run_id=low.run_id, gives_way_to=urgent)


def test_a_run_that_a_quota_holds_back_is_given_way_to_by_none(engine: Engine) -> None:
    with transaction(engine) as session:
        run_one(session)
        submit(session, ADA, priority=3)
        claim_run(session)
        submit(session, ADA, priority=5, age_s=100)
        assert ask(session, RUNNING_1) is None
        assert ask(session) is not None


@pytest.mark.parametrize("noticed", ["renew", "pause"])
@pytest.mark.parametrize("what", ["claimed", "cancelled", "paused"])
def test_a_run_goes_on_where_the_other_waits_no_longer(engine: Engine, what: str, noticed: str) -> None:
    with transaction(engine) as session:
        low = run_one(session)
        urgent = wait_for(session)
        ask(session)
        claimed = claim_run(session, "worker-2") if what == "claimed" else None
        if what != "claimed":
            {"cancelled": lifecycle.cancel, "paused": pauses.pause}[what](session, urgent)
        if noticed == "renew":
            assert not leases.renew(session, low.run_id, low.token, LEASE).pause_requested
        else:
            assert endings.pause(session, low.run_id, low.token) is None
        if claimed is not None:
            endings.hand_over(session, urgent, claimed.token)
        elif what == "paused":
            pauses.resume(session, urgent)
        session.expire_all()  # though the other is queued again, it has to wait its patience anew
        assert not leases.renew(session, low.run_id, low.token, LEASE).pause_requested
        assert endings.pause(session, low.run_id, low.token) is None
        assert outcomes(session, low.run_id) == ["running"]
        assert ask(session) is None
        other = wait_for(session)  # another may ask for the same
        pauses.pause(session, urgent) if what != "cancelled" else None
        assert ask(session) == Asked(run_id=low.run_id, gives_way_to=other)


@pytest.mark.parametrize("what", ["paused", "cancelled", "succeeded"])
def test_what_people_ask_for_and_success_win(engine: Engine, what: str) -> None:
    with transaction(engine) as session:
        low = run_one(session)
        wait_for(session)
        ask(session)
        if what == "succeeded":
            endings.finish(session, low.run_id, low.token, "succeeded")
        else:
            {"paused": pauses.pause, "cancelled": lifecycle.cancel}[what](session, low.run_id)
            assert endings.pause(session, low.run_id, low.token) == what
        run = get(session, low.run_id)
        assert (run.status, run.gives_way_to) == (what, None)
        assert outcomes(session, low.run_id) == ["succeeded" if what == "succeeded" else "paused"]


def test_an_attempt_that_gave_way_does_not_count(engine: Engine) -> None:
    with transaction(engine) as session:
        low = run_one(session)
        wait_for(session)
        ask(session)
        endings.pause(session, low.run_id, low.token)
        claim_run(session)
        again = claim_run(session)
        assert again.run_id == low.run_id
        status = endings.requeue(session, again.run_id, again.token, error="x", error_kind="X", max_attempts=2)
        assert status == "queued"


def test_both_runs_say_what_happens(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.begin(session, "worker-1")
        low = run_one(session)
        urgent = wait_for(session)
        ask(session)
        (reason,) = [r for r in why_waiting(session, get(session, urgent), EQUAL).reasons if r.kind == "gives way"]
        assert reason.text == f"run {low.run_id} gives way to it at the end of its epoch"
        endings.pause(session, low.run_id, low.token)
        (reason,) = [r for r in why_waiting(session, get(session, low.run_id), EQUAL).reasons if r.kind == "gave way"]
        assert reason.text == f"it gave way to run {urgent}, which has priority 5, and goes on from its checkpoint"


def test_askers_at_once_ask_one_run(engine: Engine) -> None:
    with transaction(engine) as session:
        for _ in range(4):
            run_one(session)
        urgent = wait_for(session)
    askers = 6
    barrier = Barrier(askers)

    def ask_once(_: int) -> int:
        barrier.wait()
        with transaction(engine) as session:
            return ask(session) is not None

    with ThreadPoolExecutor(askers) as pool:
        assert sum(pool.map(ask_once, range(askers))) == 1
    with transaction(engine) as session:
        assert session.query(Run).filter_by(gives_way_to=urgent).count() == 1
