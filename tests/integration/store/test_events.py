"""Events: what is stored of a change, and that whoever follows misses none."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import anyio
import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from ganlib.diagnosis.verdict import Episode
from store import treatments
from store.core.db import reading, transaction
from store.core.errors import DatabaseUnavailable
from store.core.models import Run
from store.core.news import news_of
from store.runs import batches, endings, event_watch, events, extensions, lifecycle, pauses, recording
from store.runs.deletion import delete_run
from store.runs.event_watch import EventWatch
from store.runs.events import StoredEvent
from tests.support.store import claim_run, create_run, diagnosis, epoch_record, request, resolved
from tests.support.treatment import last_try, make_run, treat


def of_run(engine: Engine, run_id: str) -> list[StoredEvent]:
    with reading(engine) as session:
        return events.read(session, after=0, limit=1000, run_id=run_id)


def statuses(engine: Engine, run_id: str) -> list[tuple[str, int]]:
    found = [event.changed for event in of_run(engine, run_id) if event.kind == "status"]
    return [(changed["status"], changed["attempt"]) for changed in found]


def test_every_change_of_a_runs_status_is_an_event(engine: Engine) -> None:
    with transaction(engine) as session:
        first = claim_run(session)
        pauses.pause(session, first.run_id)
        endings.pause(session, first.run_id, first.token)
    with transaction(engine) as session:
        pauses.resume(session, first.run_id)
        second = claim_run(session)
        endings.requeue(session, second.run_id, second.token, error="gone", error_kind="Killed", max_attempts=3)
        third = claim_run(session)
        recording.record_epoch(session, epoch_record(third, 1))
        endings.finish(session, third.run_id, third.token, "succeeded")
        extensions.extend(session, third.run_id, 2)
        lifecycle.cancel(session, third.run_id)
    assert statuses(engine, first.run_id) == [
        ("queued", 0),
        ("running", 1),
        ("running", 1),  # a pause is asked for
        ("paused", 1),
        ("queued", 1),
        ("running", 2),
        ("queued", 2),
        ("running", 3),
        ("succeeded", 3),
        ("queued", 3),
        ("cancelled", 3),
    ]
    asked = [e.changed for e in of_run(engine, first.run_id) if e.kind == "status"]
    assert [c["pause_requested"] for c in asked[:4]] == [False, False, True, False]
    assert asked[-1]["cancel_requested"]


def test_what_is_asked_for_twice_is_one_event(engine: Engine) -> None:
    with transaction(engine) as session:
        claim = claim_run(session)
        for _ in range(2):
            pauses.pause(session, claim.run_id)
        for _ in range(2):
            pauses.resume(session, claim.run_id)
        for _ in range(2):
            lifecycle.cancel(session, claim.run_id)
    assert len(statuses(engine, claim.run_id)) == 5  # queued, running, a pause, none, a cancel


def test_an_epoch_tells_which_findings_came_and_went(engine: Engine) -> None:
    over = Episode(name="mode collapse", severity="severe", first_epoch=2, last_epoch=2)
    third = replace(diagnosis(3), recovered=(over,))
    with transaction(engine) as session:
        claim = claim_run(session)
        told = (diagnosis(1), diagnosis(2, collapse_since=2), third)
        for epoch, found in enumerate(told, 1):
            assert recording.record_epoch(session, epoch_record(claim, epoch, diagnosis=found))
            assert not recording.record_epoch(session, epoch_record(claim, epoch, diagnosis=found))  # no second event
    seen = [(event.kind, event.changed) for event in of_run(engine, claim.run_id) if event.kind != "status"]
    assert seen == [
        ("epoch", {"epoch": 1, "attempt": 1}),
        ("epoch", {"epoch": 2, "attempt": 1}),
        ("finding seen", {"epoch": 2, "finding": "mode collapse", "severity": "severe"}),
        ("epoch", {"epoch": 3, "attempt": 1}),
        ("finding over", {"epoch": 3, "finding": "mode collapse"}),
    ]


def test_a_treatment_tells_the_sick_run_of_its_tries_and_its_end(engine: Engine) -> None:
    with transaction(engine) as session:
        sick = make_run(session, "mode collapse")
        treatment = treat(session, sick).id
        tried = last_try(session, treatment).id
    with transaction(engine) as session:
        treatments.cancel(session, treatment)
    told = [event.changed for event in of_run(engine, sick) if event.kind == "treatment"]
    begun = {"treatment_id": treatment, "treatment_status": "running", "try_id": tried}
    assert told == [begun, {"treatment_id": treatment, "treatment_status": "cancelled"}]
    assert [status for status, _ in statuses(engine, tried)] == ["queued", "cancelled"]


def test_every_run_of_a_batch_begins_with_an_event(engine: Engine) -> None:
    with transaction(engine) as session:
        batch = batches.create_batch(session, resolved(*(request(seed=seed) for seed in range(3))))
        create_run(session)
    with reading(engine) as session:
        found = events.read(session, after=0, limit=10, batch_id=batch.id)
    assert [event.run_id for event in found] == [run.id for run in batch.runs]
    assert {event.batch_id for event in found} == {batch.id}


def test_events_go_with_their_run_and_no_position_is_given_twice(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        lifecycle.cancel(session, run_id)
    last = of_run(engine, run_id)[-1].position
    with transaction(engine) as session:
        delete_run(session, run_id)
    assert of_run(engine, run_id) == []
    with transaction(engine) as session:
        later = create_run(session).id
    assert of_run(engine, later)[0].position > last


# --- watching -----------------------------------------------------------------------------------------------------


def look(engine: Engine, watch: EventWatch) -> tuple[list[str], bool]:
    """Runs of new events, and whether every event up to them is there."""
    with reading(engine) as session:
        found = watch.look(session)
        last = events.last_position(session)
    return [event.run_id for event in found.events], found.complete == last


def note(session: Session, *run_ids: str) -> None:
    """Stores an event of each, in an open transaction."""
    for run_id in run_ids:
        events.note_status(session, lifecycle.get_locked(session, run_id))
    session.flush()


def begin(engine: Engine, watch: EventWatch) -> None:
    """Looks until the watch knows where it stands."""
    with reading(engine) as session:
        watch.look(session)
    with reading(engine) as session:
        found = watch.look(session)
    assert found.complete is not None
    assert found.events == []


def test_a_watch_finds_each_event_once(engine: Engine) -> None:
    with transaction(engine) as session:
        create_run(session)
    watch = EventWatch()
    begin(engine, watch)
    with transaction(engine) as session:
        run_id = create_run(session).id
    assert look(engine, watch) == ([run_id], True)
    assert look(engine, watch) == ([], True)


@pytest.mark.parametrize("commits", [True, False])
def test_an_event_that_is_committed_after_a_later_one_is_waited_for(postgres_engine: Engine, commits: bool) -> None:
    with transaction(postgres_engine) as session:
        create_run(session)  # the owner's row, which nobody waits for then
    watch = EventWatch()
    begin(postgres_engine, watch)
    with Session(postgres_engine) as fast, Session(postgres_engine) as slow:
        fast.execute(text("SELECT pg_current_xact_id()"))  # it begins first, too: its number is the lower one
        late = create_run(slow).id
        early = create_run(fast).id
        fast.commit()
        assert look(postgres_engine, watch) == ([early], False)
        assert look(postgres_engine, watch) == ([], False)
        if commits:
            slow.commit()
        else:
            slow.rollback()
    assert look(postgres_engine, watch) == ([late] if commits else [], True)


def test_many_late_events_do_not_hide_the_newest(postgres_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_watch, "MOST", 3)
    monkeypatch.setattr(event_watch, "RANGES", 1)
    with transaction(postgres_engine) as session:
        ids = [create_run(session).id for _ in range(4)]
    watch = EventWatch()
    begin(postgres_engine, watch)
    with Session(postgres_engine) as open_one, Session(postgres_engine) as slow:
        note(open_one, ids[0])
        note(slow, *[ids[1]] * 2)
        note(open_one, ids[0])
        note(slow, *[ids[1]] * 2)
        with transaction(postgres_engine) as session:
            note(session, ids[2])
        assert look(postgres_engine, watch) == ([ids[2]], False)
        slow.commit()
        assert look(postgres_engine, watch) == ([ids[1]] * 3, False)
        with transaction(postgres_engine) as session:
            note(session, ids[3])
        assert look(postgres_engine, watch) == ([ids[1], ids[3]], False)
        open_one.commit()
    assert look(postgres_engine, watch) == ([ids[0]] * 2, True)


def test_a_look_that_fails_leaves_everything_to_the_next(
    postgres_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(postgres_engine) as session:
        ids = [create_run(session).id for _ in range(2)]
    watch = EventWatch()
    begin(postgres_engine, watch)
    with Session(postgres_engine) as slow:
        note(slow, ids[0])
        with transaction(postgres_engine) as session:
            note(session, ids[1])
        assert look(postgres_engine, watch) == ([ids[1]], False)
        slow.commit()
    with Session(postgres_engine) as rolled_back:
        note(rolled_back, ids[0])
    with transaction(postgres_engine) as session:
        note(session, ids[1])

    def fail(_: Session) -> int:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patch, reading(postgres_engine) as session:
        patch.setattr(event_watch, "_number", fail)
        with pytest.raises(DatabaseUnavailable):
            watch.look(session)
    assert look(postgres_engine, watch)[0] == ids


def test_a_watch_that_begins_beside_a_writer_waits_for_it(postgres_engine: Engine) -> None:
    with Session(postgres_engine) as slow:
        late = create_run(slow).id
        watch = EventWatch()
        with reading(postgres_engine) as session:
            assert watch.look(session).complete is None
        slow.commit()
    with reading(postgres_engine) as session:
        found = watch.look(session)
    with reading(postgres_engine) as session:
        before = [event.run_id for event in events.read(session, after=0, limit=10)]
    assert found.complete is not None
    assert [event.run_id for event in found.events] == [late]  # it is above what there was when the watch began
    assert before == [late]


def test_writers_at_once_leave_nothing_out_whoever_reads_only_what_is_complete(engine: Engine) -> None:
    """Each writer takes its positions early and commits late, or not at all."""
    writers, rounds = 6, 25
    with transaction(engine) as session:
        ids = [create_run(session).id for _ in range(writers)]
    watch, followed, is_over = EventWatch(), list[int](), threading.Event()
    waiting: list[int] = []

    def write(number: int) -> None:
        rng = np.random.default_rng(number)
        for _ in range(rounds):
            with Session(engine) as session:
                run = lifecycle.get_locked(session, ids[number])
                run.step += 1
                events.note_status(session, run)
                session.execute(text("SELECT 1"))
                threading.Event().wait(float(rng.exponential(0.003)))
                if rng.random() < 0.2:
                    session.rollback()
                else:
                    session.commit()

    def follow() -> None:
        while True:
            was_over = is_over.is_set()
            with reading(engine) as session:
                found = watch.look(session)
            waiting.extend(event.position for event in found.events)
            waiting.sort()
            while found.complete is not None and waiting and waiting[0] <= found.complete:
                followed.append(waiting.pop(0))
            if was_over and found.is_all:
                return

    begin(engine, watch)
    with reading(engine) as session:
        before = events.last_position(session)
    with ThreadPoolExecutor(writers + 1) as pool:
        reader = pool.submit(follow)
        for done in [pool.submit(write, number) for number in range(writers)]:
            done.result()
        is_over.set()
        reader.result()
    with reading(engine) as session:
        stored = [event.position for event in events.read(session, after=before, limit=1000)]
    assert len(stored) > rounds
    assert followed == stored  # in the order in which they were followed, which never went back


def test_postgresql_says_when_there_is_news(postgres_engine: Engine) -> None:
    async def waited(change: Callable[[], None]) -> float:
        async with news_of(postgres_engine) as news:
            with anyio.move_on_after(0.2):
                await news.wait(20)
            change()
            begun = anyio.current_time()
            await news.wait(20)
            return anyio.current_time() - begun

    def create() -> None:
        with transaction(postgres_engine) as session:
            create_run(session)

    assert anyio.run(waited, create) < 5


def test_whoever_is_no_longer_told_looks_and_is_told_again(postgres_engine: Engine) -> None:
    kill = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")

    async def listen() -> list[float]:
        taken: list[float] = []
        async with news_of(postgres_engine) as news:
            with postgres_engine.connect() as connection:
                assert connection.execute(kill).all()
            for longest_s in (20, 0.01, 0.05):  # hears that it is cut off; looks; hears again
                begun = anyio.current_time()
                await news.wait(longest_s)
                taken.append(anyio.current_time() - begun)
            with postgres_engine.connect() as connection:
                assert connection.execute(text("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")).all()
        return taken

    assert max(anyio.run(listen)) < 5


def test_a_run_that_is_claimed_again_is_told_with_its_attempt(engine: Engine) -> None:
    with transaction(engine) as session:
        claim = claim_run(session)
        endings.hand_over(session, claim.run_id, claim.token)
        again = claim_run(session)
    assert again.run_id == claim.run_id
    assert statuses(engine, claim.run_id)[-1] == ("running", 2)
    with reading(engine) as session:
        run = session.get_one(Run, claim.run_id)
        assert (run.status, run.attempt) == ("running", 2)
