from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DataError

from ganlib.spec.request import RunRequest
from store.core.db import reading, transaction
from store.core.errors import BatchNotFound, IdempotencyConflict
from store.core.models import Batch, Run
from store.runs.batches import create_batch, get_batch
from store.runs.lifecycle import list_runs
from tests.support.store import claim_run, request, resolved

NAMES = [f"run {number}" for number in range(12)]


def requests(*names: str) -> list[RunRequest]:
    return [request(name, seed=number) for number, name in enumerate(names)]


def count(engine: Engine, table: type[Batch | Run]) -> int:
    with reading(engine) as session:
        return session.scalars(select(func.count()).select_from(table)).one()


def test_a_batch_keeps_the_order_of_its_requests(engine: Engine) -> None:
    with transaction(engine) as session:
        created = create_batch(session, resolved(*requests(*NAMES)), name="sweep")
    with reading(engine) as session:
        batch = get_batch(session, created.id)
    assert [run.name for run in created.runs] == NAMES
    assert [run.name for run in batch.runs] == NAMES
    assert (batch.name, {run.batch_id for run in batch.runs}) == ("sweep", {batch.id})
    with reading(engine) as session:
        listed = list_runs(session, batch_id=created.id).items
    assert [run.name for run in listed] == NAMES[::-1]  # newest first


def test_a_batch_is_claimed_in_its_order(engine: Engine) -> None:
    with transaction(engine) as session:
        batch = create_batch(session, resolved(*requests(*NAMES)))
        assert [claim_run(session).run_id for _ in NAMES] == [run.id for run in batch.runs]


def test_a_batch_is_made_whole_or_not_at_all(engine: Engine) -> None:
    good = resolved(*requests("a", "b"))
    refused_by_databases = good[0][0], good[0][1].model_copy(update={"seed": 2**70})
    with pytest.raises((OverflowError, DataError)), transaction(engine) as session:
        create_batch(session, [*good, refused_by_databases])
    assert (count(engine, Batch), count(engine, Run)) == (0, 0)


def test_a_batch_sent_twice_with_a_key_is_made_once(engine: Engine) -> None:
    batches: list[Batch] = []
    for _ in range(2):
        with transaction(engine) as session:
            batches.append(create_batch(session, resolved(*requests("a", "b")), idempotency_key="key-1"))
    assert batches[0].id == batches[1].id
    assert [run.id for run in batches[0].runs] == [run.id for run in batches[1].runs]
    assert (count(engine, Batch), count(engine, Run)) == (1, 2)


@pytest.mark.parametrize(("names", "name"), [(["a"], None), (["b", "a"], None), (["a", "b"], "named")])
def test_a_key_is_refused_for_another_batch(engine: Engine, names: list[str], name: str | None) -> None:
    with transaction(engine) as session:
        create_batch(session, resolved(*requests("a", "b")), idempotency_key="key-1")
    with pytest.raises(IdempotencyConflict), transaction(engine) as session:
        create_batch(session, resolved(*requests(*names)), name=name, idempotency_key="key-1")
    assert (count(engine, Batch), count(engine, Run)) == (1, 2)


def test_batches_that_race_with_one_key_are_one_batch(engine: Engine) -> None:
    racers = 4
    barrier = Barrier(racers)

    def send(_: int) -> list[str]:
        barrier.wait()
        with transaction(engine) as session:
            batch = create_batch(session, resolved(*requests("a", "b", "c")), idempotency_key="key-1")
        return [run.id for run in batch.runs]

    with ThreadPoolExecutor(racers) as pool:
        answers = list(pool.map(send, range(racers)))
    assert answers == [answers[0]] * racers
    assert (count(engine, Batch), count(engine, Run)) == (1, 3)


def test_a_large_batch_takes_less_than_a_few_seconds(engine: Engine) -> None:
    with transaction(engine) as session:
        assert len(create_batch(session, resolved(request()) * 1000).runs) == 1000
    assert count(engine, Run) == 1000


def test_an_unknown_batch_is_not_found(engine: Engine) -> None:
    with reading(engine) as session, pytest.raises(BatchNotFound):
        get_batch(session, "0123456789abcdef")
