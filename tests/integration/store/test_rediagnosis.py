"""Diagnoses of several rulesets, and stored runs diagnosed again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from ganlib.diagnosis.ruleset import ruleset_order
from ganlib.diagnosis.thresholds import RULESET
from ganlib.diagnosis.verdict import Diagnosis
from store.core.db import reading, transaction
from store.core.errors import RunNotFound, RunNotOver
from store.core.models import DiagnosisRow, Run
from store.runs import recording, records
from store.runs.endings import Outcome, finish
from store.runs.lifecycle import get
from store.runs.rediagnosis import rediagnose
from tests.support.comparison import create_comparison
from tests.support.store import claim_run, create_run, diagnosis, epoch_record

NEWER = "1000000"
"""A ruleset of a version to come."""


def record(session: Session, last: int = 3, outcome: Outcome | None = "succeeded") -> str:
    """The id of a run whose recorded diagnoses find a collapse from epoch 2 on."""
    claimed = claim_run(session)
    for epoch in range(1, last + 1):
        found = diagnosis(epoch, collapse_since=2 if epoch >= 2 else None)
        recording.record_epoch(session, epoch_record(claimed, epoch, diagnosis=found))
    if outcome is not None:
        finish(session, claimed.run_id, claimed.token, outcome)
    return claimed.run_id


def judge(session: Session, run_id: str, ruleset: str, *found: Diagnosis) -> None:
    """Stores what another ruleset says."""
    session.add_all(recording.diagnosis_row(run_id, replace(each, ruleset=ruleset)) for each in found)
    session.flush()


def rows(engine: Engine, run_id: str) -> list[tuple[int, str]]:
    query = select(DiagnosisRow.epoch, DiagnosisRow.ruleset).where(DiagnosisRow.run_id == run_id)
    with reading(engine) as session:
        return sorted((epoch, ruleset) for epoch, ruleset in session.execute(query))


# --- several rulesets -------------------------------------------------------------------------------------------


def test_rulesets_are_sorted_by_the_numbers_in_their_names() -> None:
    names = ["10", "9", "2.10", "2.9", "test-1", "test-10", "test-9", "2"]
    assert sorted(names, key=ruleset_order) == ["test-1", "test-9", "test-10", "2", "2.9", "2.10", "9", "10"]


def test_the_newest_ruleset_is_read_unless_another_is_asked_for(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session)
        judge(session, run_id, "9", *(diagnosis(epoch) for epoch in (1, 2, 3)))
        judge(session, run_id, "10", *(diagnosis(epoch, collapse_since=1) for epoch in (1, 2, 3)))
    with reading(engine) as session:
        last = [records.diagnosis(session, run_id, ruleset=r) for r in (None, "10", "9", "test-1", "11")]
        second = [records.diagnosis(session, run_id, 2, r) for r in (None, "9")]
        assert records.rulesets(session, run_id) == ["test-1", "9", "10"]
    assert [(d.epoch, d.ruleset, d.verdict) if d else None for d in last] == [
        (3, "10", "mode collapse"),
        (3, "10", "mode collapse"),
        (3, "9", "healthy"),
        (3, "test-1", "mode collapse"),
        None,
    ]
    assert [(d.epoch, d.ruleset) for d in second if d] == [(2, "10"), (2, "9")]


def test_a_history_has_every_epoch_once(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session)
        judge(session, run_id, "9", diagnosis(2), diagnosis(3))
        judge(session, run_id, "10", diagnosis(3))
    with reading(engine) as session:
        newest, one, none = (records.diagnoses(session, run_id, r) for r in (None, "9", "11"))
    assert [(d.epoch, d.ruleset) for d in newest] == [(1, "test-1"), (2, "9"), (3, "10")]
    assert [(d.epoch, d.ruleset) for d in one] == [(2, "9"), (3, "9")]
    assert none == []


# --- diagnosed again --------------------------------------------------------------------------------------------


def test_a_run_diagnosed_again_keeps_what_was_said_before(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session)
    found = rediagnose(engine, run_id)
    assert found is not None
    assert (found.epoch, found.ruleset, found.verdict) == (3, RULESET, "undetermined")
    assert rows(engine, run_id) == sorted((epoch, r) for epoch in (1, 2, 3) for r in ("test-1", RULESET))
    with reading(engine) as session:
        before = records.diagnoses(session, run_id, "test-1")
        run = get(session, run_id)
    assert [d.verdict for d in before] == ["healthy", "mode collapse", "mode collapse"]
    assert (run.verdict, run.severity, run.first_epoch_seen) == ("undetermined", "none", None)
    assert (run.status, run.epochs_done, run.step) == ("succeeded", 3, 12)


def test_a_second_time_changes_nothing_and_says_the_same(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session)
    first = rediagnose(engine, run_id)
    with transaction(engine) as session:  # would be seen if it were written again
        session.execute(update(Run).where(Run.id == run_id).values(verdict="untouched"))
    assert rediagnose(engine, run_id) == first
    with reading(engine) as session:
        assert get(session, run_id).verdict == "untouched"


def test_a_run_that_this_ruleset_has_recorded_is_left_as_it_is(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session)
        session.execute(update(DiagnosisRow).values(ruleset=RULESET))
    found = rediagnose(engine, run_id)
    assert found is not None
    assert found.verdict == "mode collapse"  # as recorded; the rules of today would say otherwise
    assert rows(engine, run_id) == [(epoch, RULESET) for epoch in (1, 2, 3)]


def test_epochs_from_before_an_upgrade_are_judged_too(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session)
        session.execute(update(DiagnosisRow).where(DiagnosisRow.epoch == 3).values(ruleset=RULESET))
    found = rediagnose(engine, run_id)
    assert found is not None
    assert found.verdict == "undetermined"
    assert rows(engine, run_id) == sorted([(1, "test-1"), (2, "test-1"), *((epoch, RULESET) for epoch in (1, 2, 3))])


def test_what_a_newer_ruleset_said_stays_the_run_s_verdict(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session)
        judge(session, run_id, NEWER, *(diagnosis(epoch, collapse_since=1) for epoch in (1, 2, 3)))
    found = rediagnose(engine, run_id)
    assert found is not None
    assert found.ruleset == RULESET
    with reading(engine) as session:
        run = get(session, run_id)
    assert (run.verdict, run.first_epoch_seen) == ("mode collapse", 1)


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "halted"])
def test_a_run_that_ended_early_is_judged_as_far_as_it_came(engine: Engine, outcome: Outcome) -> None:
    with transaction(engine) as session:
        run_id = record(session, 2, outcome)
    found = rediagnose(engine, run_id)
    assert found is not None
    assert (found.epoch, found.ruleset) == (2, RULESET)


def test_a_run_without_epochs_has_nothing_to_diagnose(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session, 0, "failed")
    assert rediagnose(engine, run_id) is None


def test_a_run_that_is_not_over_is_refused(engine: Engine) -> None:
    with transaction(engine) as session:
        running = record(session, 2, None)
        queued = create_run(session).id
    for run_id, status in ((running, "running"), (queued, "queued")):
        with pytest.raises(RunNotOver, match=f"is {status} and .* once it is over"):
            rediagnose(engine, run_id)
    assert rows(engine, running) == [(1, "test-1"), (2, "test-1")]


def test_there_is_no_diagnosis_of_what_is_no_training(engine: Engine) -> None:
    with transaction(engine) as session:
        comparison = create_comparison(session).id
    for run_id in (comparison, "0" * 16):
        with pytest.raises(RunNotFound):
            rediagnose(engine, run_id)


def test_a_spec_of_another_version_costs_the_remedies_alone(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = record(session)
        run = get(session, run_id)
        run.spec = {**run.spec, "a_part_of_another_version": {}}
    found = rediagnose(engine, run_id)
    assert found is not None
    assert found.ruleset == RULESET


def test_those_who_diagnose_a_run_at_once_store_it_once(engine: Engine) -> None:
    racers = 4
    with transaction(engine) as session:
        run_id = record(session)
    barrier = Barrier(racers)

    def send(_: int) -> Diagnosis | None:
        barrier.wait()
        return rediagnose(engine, run_id)

    with ThreadPoolExecutor(racers) as pool:
        answers = list(pool.map(send, range(racers)))
    assert all(answer == answers[0] for answer in answers)
    assert rows(engine, run_id) == sorted((epoch, r) for epoch in (1, 2, 3) for r in ("test-1", RULESET))
