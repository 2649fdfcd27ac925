"""The slot on both databases, with a training that only remembers what it was given."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from store.core.db import make_engine, transaction
from store.core.settings import Settings
from store.runs import endings, lifecycle
from store.runs.claims import Claim
from store.scheduling import workers
from store.scheduling.requirements import GB
from tests.support.store import claim_run, create_run, expire_lease
from worker.gpus import GpuUse
from worker.host.gpu_allocator import GpuAllocator, GpuShare
from worker.host.slot import Rest, Slot, make_slots

FOREVER = timedelta(hours=1)


class Trainer:
    """Finishes every run at once, unless it is told to wait."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.trained: list[str] = []
        self.stacks: list[int] = []
        """Runs that were trained together, each time."""
        self.may_finish = threading.Event()
        self.may_finish.set()

    def train(self, claim: Claim, is_stopping: Callable[[], bool], share: GpuShare) -> bool:
        while not self.may_finish.is_set() and not is_stopping():
            time.sleep(0.01)
        together = (claim, *claim.fellows)
        with transaction(self.engine) as session:
            for each in together:
                endings.finish(session, each.run_id, each.token, "succeeded")
        self.stacks.append(len(together))
        self.trained += [each.run_id for each in together]
        return False


def make_slot(trainer: Trainer, engine: Engine, poll_interval: timedelta = FOREVER, name: str = "worker-1") -> Slot:
    settings = Settings(stack_members=1).model_copy(
        update={"poll_interval": poll_interval}
    )  # longer ones than a worker may have
    return Slot(name, trainer.train, engine=engine, settings=settings)


@contextlib.contextmanager
def running(slot: Slot) -> Iterator[None]:
    thread = threading.Thread(target=slot.run)
    thread.start()
    try:
        yield
    finally:
        slot.stop()
        thread.join(timeout=10)
    assert not thread.is_alive()


def create(engine: Engine) -> str:
    with transaction(engine) as session:
        return create_run(session).id


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.01)


@pytest.fixture
def trainer(engine: Engine) -> Trainer:
    return Trainer(engine)


def test_a_slot_trains_everything_that_is_queued_when_it_starts(engine: Engine, trainer: Trainer) -> None:
    ids = [create(engine) for _ in range(3)]
    with running(make_slot(trainer, engine)):
        wait_until(lambda: trainer.trained == ids)


@pytest.mark.parametrize(
    ("members", "gpus", "stacks"),
    [(None, 0, [3]), (2, 0, [2, 1]), (1, 0, [1, 1, 1]), (None, 1, [1, 1, 1]), (3, 1, [3])],
)
def test_runs_are_trained_together_where_the_settings_say_so(
    engine: Engine, trainer: Trainer, members: int | None, gpus: int, stacks: list[int]
) -> None:
    for _ in range(3):
        create(engine)
    use = GpuUse(memory_total=80 * GB, memory_used=0, processes=())
    allocator = GpuAllocator("worker-1", {number: f"cuda:{number}" for number in range(gpus)}, read=lambda _: use)
    settings = Settings(stack_members=members)
    Slot("worker-1", trainer.train, engine=engine, settings=settings, allocator=allocator).drain()
    assert trainer.stacks == stacks


def test_the_bell_wakes_the_slot(engine: Engine, trainer: Trainer) -> None:
    slot = make_slot(trainer, engine)
    with running(slot):
        first = create(engine)
        slot.wake()
        wait_until(lambda: trainer.trained == [first])


def test_a_bell_that_rings_while_the_slot_is_busy_is_heard_afterwards(engine: Engine, trainer: Trainer) -> None:
    slot = make_slot(trainer, engine)
    trainer.may_finish.clear()
    first = create(engine)
    with running(slot):
        wait_until(lambda: status(engine, first) == "running")
        second = create(engine)
        slot.wake()
        trainer.may_finish.set()
        wait_until(lambda: trainer.trained == [first, second])


def status(engine: Engine, run_id: str) -> str:
    with transaction(engine) as session:
        return lifecycle.get(session, run_id).status


def test_without_a_bell_the_slot_polls(engine: Engine, trainer: Trainer) -> None:
    with running(make_slot(trainer, engine, timedelta(seconds=0.05))):
        run_id = create(engine)
        wait_until(lambda: trainer.trained == [run_id])


def test_a_slot_that_is_stopped_claims_nothing_more(engine: Engine, trainer: Trainer) -> None:
    trainer.may_finish.clear()
    first, second = create(engine), create(engine)
    with running(make_slot(trainer, engine)):
        wait_until(lambda: status(engine, first) == "running")
    assert trainer.trained == [first]
    assert status(engine, second) == "queued"


def test_a_slot_takes_over_a_run_whose_lease_expired(engine: Engine, trainer: Trainer) -> None:
    with transaction(engine) as session:
        lost = claim_run(session, "worker-that-died").run_id
        expire_lease(session, lost)
    with running(make_slot(trainer, engine)):
        wait_until(lambda: trainer.trained == [lost])


def test_a_slot_says_once_that_it_is_drained(
    engine: Engine, trainer: Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    slot = make_slot(trainer, engine)
    with caplog.at_level(logging.INFO, "worker.host.slot"):
        slot.drain()
        assert "drained" not in caplog.text
        for _ in range(2):
            with transaction(engine) as session:
                workers.drain(session, workers.EVERY_WORKER)
            slot.drain()
            slot.drain()
            with transaction(engine) as session:
                workers.end_drain(session, workers.EVERY_WORKER)
            slot.drain()
    assert [r.getMessage() for r in caplog.records] == ["is drained, and claims nothing until that is ended"] * 2


def test_a_slot_that_was_drained_says_once_that_its_start_has_ended_that(
    engine: Engine, trainer: Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction(engine) as session:
        workers.begin(session, "worker-1")
        workers.drain(session, "worker-1")  # and then it was killed
    run_id = create(engine)
    with caplog.at_level(logging.INFO, "worker.host.slot"):
        for trained in ([run_id], [run_id]):
            with running(make_slot(trainer, engine)):
                wait_until(lambda trained=trained: trainer.trained == trained)
    assert [r.getMessage() for r in caplog.records if "drained" in r.getMessage()] == [
        "was drained, which its start has ended"
    ]


def test_a_slot_whose_host_has_no_room_leaves_the_run_to_another(
    engine: Engine, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    full: list[str] = []

    def find_the_disk_full(claim: Claim, _is_stopping: Callable[[], bool], _share: GpuShare) -> bool:
        with transaction(engine) as session:
            endings.requeue(session, claim.run_id, claim.token, error="no room", error_kind="DiskFull", max_attempts=3)
        full.append(claim.run_id)
        return True

    run_id = create(engine)
    slot = Slot("worker-2", find_the_disk_full, engine=engine, settings=Settings())
    slot.drain()
    slot.drain()
    assert full == [run_id]
    make_slot(trainer, engine).drain()
    assert trainer.trained == [run_id]
    monkeypatch.setattr("worker.host.slot.REST_S", 0.0)
    later = create(engine)
    Slot("worker-2", find_the_disk_full, engine=engine, settings=Settings()).drain()
    assert full[1:] == [later] * 3  # until it has failed for good


def test_all_slots_of_a_worker_whose_host_has_no_room_leave_the_run_to_another(engine: Engine) -> None:
    """Three slots that each rest for themselves burn the three attempts of a run within a second."""
    full: list[str] = []

    def find_the_disk_full(claim: Claim, _is_stopping: Callable[[], bool], _share: GpuShare) -> bool:
        with transaction(engine) as session:
            endings.requeue(session, claim.run_id, claim.token, error="no room", error_kind="DiskFull", max_attempts=3)
        full.append(claim.run_id)
        return True

    run_id = create(engine)
    slots = make_slots("w", 3, find_the_disk_full, engine=engine, settings=Settings())
    for slot in slots.slots:
        slot.drain()
    assert full == [run_id]
    assert status(engine, run_id) == "queued"
    with transaction(engine) as session:
        said = {str(worker.obstacle).partition(":")[0] for worker in workers.list_workers(session)}
    assert said == {"worker w rests for up to a minute"}


def test_a_rest_ends() -> None:
    now = 100.0
    rest = Rest("w", lambda: now)
    assert not rest.is_on()
    rest.begin(60)
    assert rest.is_on()
    now = 160.0
    assert not rest.is_on()


def test_slots_at_once_train_every_run_once(engine: Engine) -> None:
    ids = [create(engine) for _ in range(12)]
    trainers = [Trainer(engine) for _ in range(3)]
    slots = [make_slot(trainer, engine, name=f"worker-{i}") for i, trainer in enumerate(trainers)]
    with contextlib.ExitStack() as stack:
        for slot in slots:
            stack.enter_context(running(slot))
        wait_until(lambda: sum(len(trainer.trained) for trainer in trainers) == len(ids))
    assert sorted(run_id for trainer in trainers for run_id in trainer.trained) == sorted(ids)


def test_a_slot_outlives_a_database_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    engine = make_engine("postgresql://postgres@/nothing?host=/nowhere")
    with running(make_slot(Trainer(engine), engine, timedelta(seconds=0.05))):
        wait_until(lambda: caplog.text.count("does not answer") >= 2)
    engine.dispose()
