from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from ganlib.wire.annotations import LabelRequest
from store import annotations
from store.core.db import reading, transaction
from store.core.errors import IdempotencyConflict, InvalidCursor
from store.core.models import Annotation
from tests.support.store import create_run, diagnosis


def request(**changes: Any) -> LabelRequest:
    return LabelRequest.model_validate({"finding": "mode collapse", "holds": False, "author": "ada", **changes})


def add(session: Session, run_id: str, key: str | None = None, **changes: Any) -> Annotation:
    return annotations.add(session, run_id, request(**changes), diagnosis(3, collapse_since=2), idempotency_key=key)


def test_a_label_is_kept_beside_what_was_known(engine: Engine) -> None:
    note = "all ten digits are there\nsee \N{PILE OF POO}"
    with transaction(engine) as session:
        run_id = create_run(session).id
        add(session, run_id, epoch=3, note=note)
    with reading(engine) as session:
        (label,) = annotations.of_run(session, run_id)
    assert (label.run_id, label.finding, label.holds, label.epoch) == (run_id, "mode collapse", False, 3)
    assert (label.author, label.note) == ("ada", note)
    assert (label.ruleset, label.verdict) == ("test-1", "mode collapse")
    assert label.created_at > 1e9


def test_labels_that_contradict_each_other_are_all_kept(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        for age_s, (author, holds) in enumerate([("bob", True), ("ada", False), ("ada", True)]):
            add(session, run_id, author=author, holds=holds).created_at -= age_s
        add(session, create_run(session).id, author="eve")
    with reading(engine) as session:
        found = [(label.author, label.holds) for label in annotations.of_run(session, run_id)]
    assert found == [("bob", True), ("ada", False), ("ada", True)]  # newest first


def test_labels_are_listed_newest_first_page_by_page(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        for age_s, author in enumerate("edcba"):
            add(session, run_id, author=author).created_at -= age_s
    pages: list[str] = []
    cursor = None
    while cursor is not None or not pages:
        with reading(engine) as session:
            page = annotations.list_labels(session, limit=2, cursor=cursor)
        pages.append("".join(label.author for label in page.items))
        cursor = page.next_cursor
    assert pages == ["ed", "cb", "a"]


def test_a_cursor_that_was_made_up_is_refused(sqlite_engine: Engine) -> None:
    with reading(sqlite_engine) as session, pytest.raises(InvalidCursor):
        annotations.list_labels(session, cursor="MTIz")


def test_all_labels_are_read_with_their_runs_oldest_first(engine: Engine) -> None:
    with transaction(engine) as session:
        first, second = create_run(session, "first"), create_run(session, "second")
        for age_s, run in enumerate([second, first, second]):
            add(session, run.id).created_at -= age_s
    with reading(engine) as session:
        found = [(label.run_id == run.id, run.name) for label, run in annotations.with_runs(session)]
    assert found == [(True, "second"), (True, "first"), (True, "second")]


def test_a_label_sent_twice_with_a_key_is_kept_once(engine: Engine) -> None:
    ids: list[str] = []
    for _ in range(2):
        with transaction(engine) as session:
            run_id = create_run(session, key="of the run").id
            ids.append(add(session, run_id, "key-1").id)
    assert ids[0] == ids[1]


@pytest.mark.parametrize("changes", [{"holds": True}, {"note": "x"}, {"epoch": 1}])
def test_a_key_is_refused_for_another_label(engine: Engine, changes: dict[str, Any]) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        add(session, run_id, "key-1")
    with pytest.raises(IdempotencyConflict, match="key-1"), transaction(engine) as session:
        add(session, run_id, "key-1", **changes)
    with reading(engine) as session:
        assert [label.note for label in annotations.of_run(session, run_id)] == [""]


def test_a_key_is_refused_for_the_same_words_on_another_run(engine: Engine) -> None:
    with transaction(engine) as session:
        add(session, create_run(session).id, "key-1")
    with pytest.raises(IdempotencyConflict), transaction(engine) as session:
        add(session, create_run(session).id, "key-1")


def test_labels_that_race_with_one_key_are_one(engine: Engine) -> None:
    racers = 4
    with transaction(engine) as session:
        run_id = create_run(session).id
    barrier = Barrier(racers)

    def send(_: int) -> str:
        barrier.wait()
        with transaction(engine) as session:
            return add(session, run_id, "key-1").id

    with ThreadPoolExecutor(racers) as pool:
        ids = set(pool.map(send, range(racers)))
    assert len(ids) == 1
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Annotation)) == 1
