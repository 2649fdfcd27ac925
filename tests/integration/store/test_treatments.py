"""Treatments on both databases: what follows the end of a try, in the transaction of that end."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from ganlib.spec.run import RunSpec
from store import treatments
from store.core.db import reading, transaction
from store.core.models import DiagnosisRow, Run
from store.runs import claims, endings
from store.runs.lineage import family
from tests.support.store import LEASE, expire_lease
from tests.support.treatment import EPOCHS, FAILURE, begin, end, found, last_try, make_run, record, state, take, treat


def test_a_try_that_helps_ends_its_treatment(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        end(session, first)
    assert state(engine, treatment_id) == ("cured", first, ["succeeded"])
    with reading(engine) as session:
        treatment = treatments.get(session, treatment_id)
        assert treatment.finished_at is not None
        assert treatment.finished_at >= treatment.created_at


def test_a_try_that_does_not_help_is_followed_by_the_next_remedy_with_a_new_seed(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        end(session, first, "mode collapse")
        child = last_try(session, treatment_id)
        assert child.id != first
        assert (child.remedy, child.seed, child.status) == ("latent wider than the data", 2, "queued")
        end(session, child.id)
    assert state(engine, treatment_id) == ("cured", child.id, ["succeeded", "succeeded"])


def finish_as(outcome: endings.Outcome) -> Callable[[Session, claims.Claim], object]:
    return lambda session, claimed: endings.finish(session, claimed.run_id, claimed.token, outcome, **FAILURE)


def lose(session: Session, claimed: claims.Claim) -> None:
    endings.requeue(session, claimed.run_id, claimed.token, error="killed", error_kind="Killed", max_attempts=1)


def expire(session: Session, claimed: claims.Claim) -> None:
    expire_lease(session, claimed.run_id)
    assert endings.requeue_expired(session, max_attempts=1) == [claimed.run_id]


@pytest.mark.parametrize("ending", [finish_as("failed"), finish_as("halted"), lose, expire])
def test_whatever_else_ends_a_try_is_followed_by_the_next_one(
    engine: Engine, ending: Callable[[Session, claims.Claim], object]
) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        claimed = take(session, first)
        record(session, claimed, "mode collapse", epochs=1)
        ending(session, claimed)
    status, _, (ended, queued) = state(engine, treatment_id)
    assert (status, queued) == ("running", "queued")
    assert ended in {"failed", "halted"}


def test_a_try_whose_spec_can_no_longer_be_read_is_followed_by_the_next_one(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        session.execute(update(Run).where(Run.id == first).values(spec={"dataset": "nonsense"}))
    with transaction(engine) as session:
        assert claims.claim(session, "worker-1", LEASE) is None
    status, best, tries = state(engine, treatment_id)
    assert (status, best, tries) == ("exhausted", None, ["failed"])  # its own spec is needed to tell what was tried
    with reading(engine) as session:
        assert "can no longer be read" in str(treatments.get(session, treatment_id).reason)


def test_a_try_that_is_handed_over_or_queued_again_is_not_over(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        endings.hand_over(session, first, take(session, first).token)
        token = take(session, first).token
        endings.requeue(session, first, token, error="killed", error_kind="Killed", max_attempts=3)
    assert state(engine, treatment_id) == ("running", None, ["queued"])


def test_when_no_try_is_left_the_best_one_is_named(engine: Engine) -> None:
    treatment_id, first = begin(engine, max_tries=2)
    with transaction(engine) as session:
        end(session, first, "mode collapse", severity="moderate")
        second = last_try(session, treatment_id).id
        end(session, second, "mode collapse")
    assert state(engine, treatment_id) == ("exhausted", first, ["succeeded", "succeeded"])
    with reading(engine) as session:
        assert treatments.get(session, treatment_id).reason == "no try is left of 2"


def test_epochs_that_were_not_made_can_be_made_by_other_tries(engine: Engine) -> None:
    treatment_id, first = begin(engine, max_epochs=2 * EPOCHS - 1)
    with transaction(engine) as session:
        end(session, first, "mode collapse", outcome="halted", epochs=EPOCHS - 1)
        second = last_try(session, treatment_id).id
        assert second != first
        end(session, second, "mode collapse", epochs=EPOCHS)
    status, _, tries = state(engine, treatment_id)
    assert (status, len(tries)) == ("exhausted", 2)


def test_patches_add_up_where_a_try_has_another_finding(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        end(session, first, "oscillation")
        child = last_try(session, treatment_id)
        spec = RunSpec.model_validate(child.spec)
        # What the first patch set is usual already, so that the remedy which comes first otherwise is left out.
        assert (child.parent_id, child.remedy) == (first, "a quarter of the rate")
        assert (spec.generator.latent_dim, spec.optimizer.learning_rate) == (2, 1e-3 / 4)
        assert child.warm_start == {"run_id": first, "epoch": 2, "checkpoint": "attempt-1-epoch-2.safetensors"}


def test_the_newest_rulesets_diagnosis_counts(engine: Engine) -> None:
    judged = {"test-9": found(EPOCHS, "divergence"), "test-10": found(EPOCHS, "oscillation")}
    with transaction(engine) as session:
        run_id = make_run(session, "mode collapse")
        for ruleset, diagnosis in judged.items():
            values = {"verdict": diagnosis.verdict, "severity": diagnosis.severity, "document": diagnosis.to_json()}
            session.add(DiagnosisRow(run_id=run_id, epoch=EPOCHS, ruleset=ruleset, **values))
        assert treat(session, run_id).finding == "oscillation"


def test_runs_that_people_made_are_followed_by_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = make_run(session, "mode collapse")
        assert [member.run.id for member in family(session, run_id)] == [run_id]
