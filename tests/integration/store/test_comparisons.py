import pytest
from sqlalchemy import Engine, select, update

from ganlib.spec.comparison import ComparisonSpec
from store import comparisons
from store.core.db import reading, transaction
from store.core.errors import ComparisonNotFound, IdempotencyConflict, LeaseLost, RunNotFound
from store.core.models import EvaluationRow, Run
from store.runs import endings, lifecycle, recording
from tests.support.comparison import comparison_spec, create_comparison
from tests.support.store import claim_run, create_run, evaluation, expire_lease, outcomes


def test_a_success_that_is_recorded_again_is_there_already(engine: Engine) -> None:
    with transaction(engine) as session:
        comparison_id = create_comparison(session).id
        claimed = claim_run(session)
    for _ in range(2):
        with transaction(engine) as session:
            recording.record_comparison(session, comparison_id, claimed.token, evaluation(1))
    with reading(engine) as session:
        assert comparisons.get(session, comparison_id).status == "succeeded"
        assert outcomes(session, comparison_id) == ["succeeded"]
    with transaction(engine) as session, pytest.raises(LeaseLost):
        recording.record_comparison(session, comparison_id, claimed.token + 1, evaluation(1))


def test_a_new_comparison_is_queued_and_keeps_its_spec(engine: Engine) -> None:
    with transaction(engine) as session:
        comparison_id = create_comparison(session, seed=2**63 - 1).id
    with reading(engine) as session:
        found = comparisons.get(session, comparison_id)
        assert comparisons.result(session, comparison_id) is None
    assert ComparisonSpec.model_validate(found.spec) == comparison_spec(seed=2**63 - 1)
    assert (found.kind, found.status, found.seed, found.epochs_total) == ("comparison", "queued", 2**63 - 1, 1)


def test_a_run_and_a_comparison_are_not_found_as_each_other(engine: Engine) -> None:
    with transaction(engine) as session:
        comparison_id, run_id = create_comparison(session).id, create_run(session).id
        for action in (lifecycle.get, lifecycle.cancel):
            with pytest.raises(RunNotFound):
                action(session, comparison_id)
        for action in (comparisons.get, comparisons.cancel):
            with pytest.raises(ComparisonNotFound):
                action(session, run_id)
        assert lifecycle.get(session, run_id).status == "queued"
        assert comparisons.get(session, comparison_id).status == "queued"


def test_each_list_has_its_own_kind_alone(engine: Engine) -> None:
    with transaction(engine) as session:
        made = [create_comparison(session, seed=seed).id for seed in range(3)]
        run_id = create_run(session).id
        assert [run.id for run in lifecycle.list_runs(session).items] == [run_id]
        first = comparisons.list_comparisons(session, limit=2)
        rest = comparisons.list_comparisons(session, limit=2, cursor=first.next_cursor)
        assert sorted(run.id for run in (*first.items, *rest.items)) == sorted(made)
        assert rest.next_cursor is None
        comparisons.cancel(session, made[0])
        assert [run.id for run in comparisons.list_comparisons(session, status="cancelled").items] == [made[0]]


def test_a_comparison_sent_twice_with_a_key_is_made_once(engine: Engine) -> None:
    with transaction(engine) as session:
        assert comparisons.made_before(session, comparison_spec(), "key-1") is None
        first = create_comparison(session, key="key-1").id
    with transaction(engine) as session:
        assert create_comparison(session, key="key-1").id == first
        before = comparisons.made_before(session, comparison_spec(), "key-1")
        assert before is not None
        assert before.id == first


def test_a_key_of_a_run_or_of_another_comparison_is_refused(engine: Engine) -> None:
    with transaction(engine) as session:
        create_run(session, key="run")
        create_comparison(session, key="comparison")
        for key in ("run", "comparison"):
            with pytest.raises(IdempotencyConflict):
                create_comparison(session, key=key, seed=1)
            with pytest.raises(IdempotencyConflict):
                comparisons.made_before(session, comparison_spec(seed=1), key)


def test_workers_claim_runs_and_comparisons_from_one_queue(engine: Engine) -> None:
    with transaction(engine) as session:
        made = [create_run(session).id, create_comparison(session).id, create_run(session).id]
        claims = [claim_run(session) for _ in made]
    assert [claimed.run_id for claimed in claims] == made
    assert [type(claimed.spec).__name__ for claimed in claims] == ["RunSpec", "ComparisonSpec", "RunSpec"]


def test_a_comparison_that_is_not_valid_any_more_does_not_block_the_queue(engine: Engine) -> None:
    with transaction(engine) as session:
        comparison_id, run_id = create_comparison(session).id, create_run(session).id
        session.execute(update(Run).where(Run.id == comparison_id).values(spec={"kind": "comparison"}))
        assert claim_run(session).run_id == run_id
        failed = comparisons.get(session, comparison_id)
        assert (failed.status, failed.error_kind) == ("failed", "InvalidSpec")


def test_a_result_and_the_success_are_one_write(engine: Engine) -> None:
    with transaction(engine) as session:
        create_comparison(session)
        claimed = claim_run(session)
        recording.record_comparison(session, claimed.run_id, claimed.token, evaluation(0))
    with reading(engine) as session:
        found = comparisons.get(session, claimed.run_id)
        result = comparisons.result(session, claimed.run_id)
        assert (found.status, found.epochs_done, found.step, found.verdict) == ("succeeded", 1, 1, None)
        assert outcomes(session, claimed.run_id) == ["succeeded"]
    assert result is not None
    assert (result.epoch, result.n_real) == (1, evaluation(0).n_real)


def test_a_comparison_that_was_lost_is_recorded_by_its_next_attempt_alone(engine: Engine) -> None:
    with transaction(engine) as session:
        comparison_id = create_comparison(session).id
        stale = claim_run(session)
        expire_lease(session, comparison_id)
        assert endings.requeue_expired(session, 3) == [comparison_id]
        fresh = claim_run(session)
        with pytest.raises(LeaseLost):
            recording.record_comparison(session, comparison_id, stale.token, evaluation(1))
        assert session.scalars(select(EvaluationRow)).all() == []
        recording.record_comparison(session, comparison_id, fresh.token, evaluation(1))
        assert outcomes(session, comparison_id) == ["lost", "succeeded"]


def test_a_queued_comparison_is_cancelled_at_once_and_a_running_one_is_asked(engine: Engine) -> None:
    with transaction(engine) as session:
        queued = create_comparison(session).id
        assert comparisons.cancel(session, queued).status == "cancelled"
        running = create_comparison(session).id
        claimed = claim_run(session)
        assert comparisons.cancel(session, running).status == "running"
        assert endings.hand_over(session, running, claimed.token) == "cancelled"
