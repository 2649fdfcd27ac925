from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, func, select

from ganlib.spec.hashing import spec_hash
from ganlib.spec.run import RunSpec
from store.core.db import now, reading, transaction
from store.core.errors import IdempotencyConflict, InvalidCursor, RunNotFound
from store.core.models import Run
from store.runs.endings import finish
from store.runs.lifecycle import cancel, create, get, list_runs
from tests.support.store import claim_run, create_run, request, resolved


def test_a_new_run_is_queued_and_keeps_its_spec(engine: Engine) -> None:
    wanted = request("first", **{"seed": 2**63 - 1, "training.epochs": 2})
    spec = wanted.resolve()
    with transaction(engine) as session:
        created = create(session, wanted, spec)
        clock = session.scalars(select(now())).one()
    with reading(engine) as session:
        run = get(session, created.id)
    assert RunSpec.model_validate(run.spec) == spec
    assert (run.spec_hash, run.seed) == (spec_hash(spec), 2**63 - 1)
    assert (run.name, run.preset, run.status, run.attempt) == ("first", None, "queued", 0)
    assert (run.epochs_total, run.steps_per_epoch, run.epochs_done, run.step) == (2, 4, 0, 0)
    assert run.created_at == pytest.approx(clock, abs=5)
    assert (run.started_at, run.finished_at, run.verdict, run.error) == (None, None, None, None)


def test_a_run_can_be_used_after_its_transaction(engine: Engine) -> None:
    with transaction(engine) as session:
        run = create_run(session)
    assert run.status == "queued"


def test_an_unknown_run_is_not_found(engine: Engine) -> None:
    with reading(engine) as session:
        for run_id in ("0123456789abcdef", "", "nul \0", "surrogate \udc80", "x" * 5000):
            with pytest.raises(RunNotFound):
                get(session, run_id)


def test_an_unknown_run_cannot_be_cancelled(engine: Engine) -> None:
    with pytest.raises(RunNotFound), transaction(engine) as session:
        cancel(session, "0123456789abcdef")


# --- idempotency ---


def test_a_request_sent_twice_with_a_key_makes_one_run(engine: Engine) -> None:
    ids: set[str] = set()
    for _ in range(2):
        with transaction(engine) as session:
            ids.add(create_run(session, "once", key="key-1").id)
    with reading(engine) as session:
        assert [run.id for run in session.scalars(select(Run))] == [*ids]


def test_a_key_names_its_run_also_after_it_ended(engine: Engine) -> None:
    with transaction(engine) as session:
        first = create_run(session, key="key-1")
        claimed = claim_run(session)
        finish(session, claimed.run_id, claimed.token, "succeeded")
    with transaction(engine) as session:
        again = create_run(session, key="key-1")
        assert (again.id, again.status) == (first.id, "succeeded")


def test_a_key_is_refused_for_another_request(engine: Engine) -> None:
    with transaction(engine) as session:
        create_run(session, "one", key="key-1")
    with pytest.raises(IdempotencyConflict, match="key-1"), transaction(engine) as session:
        create_run(session, "another", key="key-1")
    with reading(engine) as session:
        assert session.scalars(select(Run.name)).all() == ["one"]


def test_requests_without_a_key_are_runs_of_their_own(engine: Engine) -> None:
    with transaction(engine) as session:
        assert create_run(session, "same").id != create_run(session, "same").id


def test_requests_that_race_with_one_key_make_one_run(engine: Engine) -> None:
    racers = 6
    barrier = Barrier(racers)

    def send(_: int) -> str:
        barrier.wait()
        with transaction(engine) as session:
            return create_run(session, "raced", key="key-1").id

    with ThreadPoolExecutor(racers) as pool:
        ids = list(pool.map(send, range(racers)))
    with reading(engine) as session:
        assert session.scalars(select(Run.id)).all() == [ids[0]]
    assert set(ids) == {ids[0]}


def test_different_requests_that_race_with_one_key_make_one_run(engine: Engine) -> None:
    racers = 6
    barrier = Barrier(racers)

    def send(number: int) -> str:
        barrier.wait()
        try:
            with transaction(engine) as session:
                return create_run(session, f"racer {number}", key="key-1").id
        except IdempotencyConflict:
            return "refused"

    with ThreadPoolExecutor(racers) as pool:
        answers = list(pool.map(send, range(racers)))
    assert answers.count("refused") == racers - 1
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 1


# --- list ---


def create_runs(engine: Engine, names: list[str]) -> None:
    """Runs that are younger the later they are named."""
    with transaction(engine) as session:
        for age_h, name in enumerate(reversed(names)):
            create_run(session, name).created_at -= 3600 * age_h  # far more than making them may take


def names_by_page(engine: Engine, limit: int) -> list[list[str | None]]:
    pages: list[list[str | None]] = []
    cursor = None
    while True:
        with reading(engine) as session:
            page = list_runs(session, limit=limit, cursor=cursor)
        pages.append([run.name for run in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return pages


def test_runs_are_listed_newest_first_page_by_page(engine: Engine) -> None:
    create_runs(engine, ["a", "b", "c", "d", "e"])
    assert names_by_page(engine, 2) == [["e", "d"], ["c", "b"], ["a"]]


def test_a_full_last_page_has_no_cursor(engine: Engine) -> None:
    create_runs(engine, ["a", "b"])
    assert names_by_page(engine, 2) == [["b", "a"]]


def test_no_runs_are_an_empty_page(engine: Engine) -> None:
    assert names_by_page(engine, 2) == [[]]


def test_runs_made_at_the_same_moment_are_all_listed_once(engine: Engine) -> None:
    with transaction(engine) as session:
        runs = [create_run(session, f"twin {number}") for number in range(7)]
        for run in runs:
            run.created_at = 1234567890.1234567
    listed = [name for page in names_by_page(engine, 2) for name in page]
    assert sorted(str(name) for name in listed) == [f"twin {number}" for number in range(7)]


def test_pages_stay_the_same_while_runs_are_made(engine: Engine) -> None:
    create_runs(engine, ["a", "b", "c", "d"])
    listed: list[str | None] = []
    cursor = None
    for round_number in range(4):
        with reading(engine) as session:
            page = list_runs(session, limit=1, cursor=cursor)
        listed += [run.name for run in page.items]
        cursor = page.next_cursor
        with transaction(engine) as session:
            create_run(session, f"newer {round_number}")
    assert listed == ["d", "c", "b", "a"]
    assert cursor is None


def test_runs_are_found_by_each_filter(engine: Engine) -> None:
    with transaction(engine) as session:
        preset = request().model_copy(update={"spec": None, "preset": "digit8-stable", "name": "published"})
        create(session, preset, preset.resolve())
        ((wanted, spec),) = resolved(request("mine"))
        run = create(session, wanted, spec)
        run.verdict = "mode collapse"
        cancel(session, run.id)
    with reading(engine) as session:
        found = {
            "status": list_runs(session, status="cancelled"),
            "preset": list_runs(session, preset="digit8-stable"),
            "verdict": list_runs(session, verdict="mode collapse"),
            "name": list_runs(session, name="mine"),
            "both": list_runs(session, name="mine", status="queued"),
            "odd": list_runs(session, name="nul \0 and \udc80"),
        }
    names = {filtered: [run.name for run in page.items] for filtered, page in found.items()}
    assert names == {
        "status": ["mine"],
        "preset": ["published"],
        "verdict": ["mine"],
        "name": ["mine"],
        "both": [],
        "odd": [],
    }


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "MTIz", "é", "YSBi", "bmFuIDAxMjM0NTY3ODlhYmNkZWY"])
def test_a_cursor_that_was_made_up_is_refused(sqlite_engine: Engine, cursor: str) -> None:
    with reading(sqlite_engine) as session, pytest.raises(InvalidCursor):
        list_runs(session, cursor=cursor)
