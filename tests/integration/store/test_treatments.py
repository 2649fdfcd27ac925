"""Treatments on both databases: what follows the end of a try, in the transaction of that end."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from threading import Barrier
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, update
from sqlalchemy.orm import Session

from ganlib.diagnosis.prescribe import prescribe
from ganlib.spec.request import InvalidRequest
from ganlib.spec.run import RunSpec
from ganlib.wire.treatments import TreatmentRequest
from store import treatments
from store.core.db import reading, transaction
from store.core.errors import (
    DatabaseUnavailable,
    IdempotencyConflict,
    LeaseLost,
    NotTreatable,
    RunNotFound,
    TreatmentNotFound,
)
from store.core.models import DiagnosisRow, Run
from store.files.artifacts import StoredArtifact
from store.runs import claims, endings, leases, lifecycle
from store.runs.lineage import family
from store.uploads import UploadedSet
from store.uploads import create as create_upload
from tests.support.comparison import create_comparison
from tests.support.store import LEASE, claim_run, create_run, expire_lease, outcomes
from tests.support.treatment import EPOCHS, end, found, last_try, make_run, record, take, treat

FAILURE = {"error": "gone", "error_kind": "Gone"}


# --- making one -------------------------------------------------------------------------------------------------


def test_a_treatment_begins_with_a_queued_run_of_the_first_remedy(engine: Engine) -> None:
    with transaction(engine) as session:
        sick = lifecycle.get(session, make_run(session, "mode collapse", seed=7))
        sick.priority = 5
        treatment = treat(session, sick.id)
    with transaction(engine) as session:
        treatment = treatments.get(session, treatment.id)
        (child,) = treatments.tries(session, treatment.id)
        assert (treatment.run_id, treatment.finding, treatment.status) == (sick.id, "mode collapse", "running")
        assert (treatment.max_tries, treatment.max_epochs) == (3, 4 * EPOCHS)
        assert (child.parent_id, child.status, child.priority) == (sick.id, "queued", 5)
        first = prescribe("mode collapse", RunSpec.model_validate(sick.spec))[0]
        assert (child.remedy, child.patch) == ("usual settings", first.patch)
        assert (child.name, child.preset, child.seed) == ("first: usual settings", None, 8)
        assert child.warm_start is not None
        assert child.warm_start["run_id"] == sick.id
        spec = RunSpec.model_validate(child.spec)
        assert (spec.training.discriminator_steps, spec.optimizer.learning_rate) == (2, 1e-3)


def test_a_treatment_can_be_for_another_finding_even_a_mild_one(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = make_run(session, "mode collapse", "oscillation")
        assert treat(session, run_id, finding="oscillation").finding == "oscillation"
    with transaction(engine) as session:
        wanted = {"finding": "slow convergence", "max_tries": 1}
        end(session, last_try(session, treatments.of_run(session, run_id)[0].id).id)
        slow = create_run(session)
        end(session, slow.id, "slow convergence", severity="mild")
        child = last_try(session, treat(session, slow.id, **wanted).id)
        # It goes on where its parent was, for as many epochs as the remedy adds.
        assert child.warm_start == {
            "run_id": slow.id,
            "epoch": EPOCHS,
            "checkpoint": f"attempt-1-epoch-{EPOCHS}.safetensors",
        }
        assert child.epochs_total == EPOCHS


def test_a_try_that_keeps_the_networks_begins_with_the_last_healthy_checkpoint(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = make_run(session, "memorisation")
        child = last_try(session, treat(session, run_id).id)
        assert child.remedy == "instance noise"
        assert child.warm_start == {"run_id": run_id, "epoch": 2, "checkpoint": "attempt-1-epoch-2.safetensors"}
        assert treatments.healthy_epochs(session, run_id) == {1, 2}


def running(session: Session) -> str:
    return claim_run(session).run_id


def without_epochs(session: Session) -> str:
    claimed = claim_run(session)
    endings.finish(session, claimed.run_id, claimed.token, "failed", **FAILURE)
    return claimed.run_id


def without_harm(session: Session) -> str:
    run = create_run(session)
    end(session, run.id, "slow convergence", severity="mild")
    return run.id


def treated_already(session: Session) -> str:
    run_id = make_run(session, "mode collapse")
    treat(session, run_id)
    return run_id


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda session: create_run(session).id, "it is queued; wait for its end, or cancel it first"),
        (running, "it is running; wait for its end, or cancel it first"),
        (without_epochs, "it ended before its first epoch did"),
        (without_harm, "its verdict is 'healthy', without .*; to treat a mild finding, name it: 'slow convergence'"),
        (treated_already, "of its 'mode collapse' is running; wait, or cancel it first"),
    ],
)
def test_a_run_that_cannot_be_treated_is_refused_with_the_reason(
    engine: Engine, make: Callable[[Session], str], why: str
) -> None:
    with transaction(engine) as session:
        run_id = make(session)
        before = len(treatments.of_run(session, run_id))
    with pytest.raises(NotTreatable, match=why), transaction(engine) as session:
        treat(session, run_id)
    with reading(engine) as session:
        assert len(treatments.of_run(session, run_id)) == before


def test_a_finding_without_a_remedy_is_refused(sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlib.diagnosis.treatment.prescribe", lambda *_: ())
    with transaction(sqlite_engine) as session:
        run_id = make_run(session, "mode collapse")
    with transaction(sqlite_engine) as session, pytest.raises(NotTreatable, match="no remedy is known for its 'mode"):
        treat(session, run_id)


def test_a_run_whose_spec_can_no_longer_be_read_is_refused(sqlite_engine: Engine) -> None:
    with transaction(sqlite_engine) as session:
        run_id = make_run(session, "mode collapse")
        session.execute(update(Run).where(Run.id == run_id).values(spec={"dataset": "nonsense"}))
        with pytest.raises(NotTreatable, match="of another version"):
            treat(session, run_id)


def test_a_finding_that_the_run_does_not_have_is_refused_with_those_that_it_has(sqlite_engine: Engine) -> None:
    with transaction(sqlite_engine) as session:
        run_id = make_run(session, "mode collapse", "oscillation")
        with pytest.raises(InvalidRequest, match=r"finding: 'divergence' is .*: 'mode collapse', 'oscillation'"):
            treat(session, run_id, finding="divergence")


def test_epochs_that_are_too_few_for_a_try_are_refused(sqlite_engine: Engine) -> None:
    with transaction(sqlite_engine) as session:
        run_id = make_run(session, "mode collapse")
        with pytest.raises(InvalidRequest, match=f"max_epochs: the shortest try takes {EPOCHS} epochs, and 2 are left"):
            treat(session, run_id, max_epochs=EPOCHS - 1)


def test_runs_and_treatments_that_do_not_exist_are_not_found(sqlite_engine: Engine) -> None:
    with transaction(sqlite_engine) as session:
        comparison = create_comparison(session).id
        for run_id in ("nothing", comparison):
            with pytest.raises(RunNotFound):
                treat(session, run_id)
        for look in (treatments.get, treatments.cancel):
            with pytest.raises(TreatmentNotFound):
                look(session, "nothing")


def test_the_same_request_with_the_same_key_makes_one_treatment(engine: Engine) -> None:
    wanted = TreatmentRequest(max_tries=2)
    with transaction(engine) as session:
        run_id, other = make_run(session, "mode collapse"), make_run(session, "mode collapse")
        first = treatments.create(session, run_id, wanted, idempotency_key="key")
    with transaction(engine) as session:
        assert treatments.create(session, run_id, wanted, idempotency_key="key").id == first.id
        assert len(treatments.tries(session, first.id)) == 1
    for of_run, request in ((run_id, TreatmentRequest()), (other, wanted)):
        with pytest.raises(IdempotencyConflict), transaction(engine) as session:
            treatments.create(session, of_run, request, idempotency_key="key")
    with transaction(engine) as session:
        assert treatments.of_run(session, other) == []


def test_of_many_equal_requests_at_once_one_makes_the_treatment(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = make_run(session, "mode collapse")
    barrier = Barrier(6)

    def ask(number: int) -> str | None:
        barrier.wait()
        key = "key" if number < 3 else None
        try:
            with transaction(engine) as session:
                return treatments.create(session, run_id, TreatmentRequest(), idempotency_key=key).id
        except NotTreatable:
            return None

    with ThreadPoolExecutor(6) as pool:
        made = set(pool.map(ask, range(6))) - {None}
    with reading(engine) as session:
        assert {t.id for t in treatments.of_run(session, run_id)} == made
        assert len(made) == 1
        assert len(family(session, run_id)) == 2


PAIRED: dict[str, Any] = {
    "dataset": {"name": "upload-pairs", "shape": [1, 12, 12], "class_counts": [150, 150], "folders": ["A", "B"]},
    "dataset.held_out": 100,
    "generator": {"family": "unet", "width": 4},
    "discriminator": {"family": "patch", "width": 4, "layers": 1},
    "evaluation": {"num_samples": 100, "measures": ["paired"]},
}


@pytest.mark.parametrize("trained", [{"dataset": {"name": "upload", "shape": [2], "class_counts": [100]}}, PAIRED])
def test_an_upload_that_was_deleted_cannot_be_trained_on_again(sqlite_engine: Engine, trained: dict[str, Any]) -> None:
    stored = StoredArtifact(sha256="0" * 64, media_type="application/octet-stream", size=1)
    uploaded = UploadedSet(kind="points", shape=(2,), class_counts=(100,), class_names=(), samples=stored, labels=None)
    with transaction(sqlite_engine) as session:
        upload = create_upload(session, uploaded)
        settings: Any = {**trained, "dataset": {**trained["dataset"], "upload": upload.id}}
        run_id = make_run(session, "mode collapse", **settings)
        session.delete(upload)
    with transaction(sqlite_engine) as session, pytest.raises(NotTreatable, match="that it trained on was deleted"):
        treat(session, run_id)


# --- going on ---------------------------------------------------------------------------------------------------


def begin(engine: Engine, **wanted: Any) -> tuple[str, str]:
    """Ids of a treatment and its first try."""
    with transaction(engine) as session:
        treatment = treat(session, make_run(session, "mode collapse"), **wanted)
        return treatment.id, last_try(session, treatment.id).id


def state(engine: Engine, treatment_id: str) -> tuple[str, str | None, list[str]]:
    """Status and best try of a treatment, and the statuses of its tries."""
    with reading(engine) as session:
        treatment = treatments.get(session, treatment_id)
        return treatment.status, treatment.best_run_id, [run.status for run in treatments.tries(session, treatment_id)]


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


# --- cancelling -------------------------------------------------------------------------------------------------


def test_cancelling_a_treatment_cancels_its_queued_try(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        assert treatments.cancel(session, treatment_id).status == "cancelled"
    assert state(engine, treatment_id) == ("cancelled", None, ["cancelled"])
    with transaction(engine) as session:
        assert lifecycle.get(session, first).cancel_requested
        assert treatments.cancel(session, treatment_id).status == "cancelled"


def test_cancelling_a_treatment_asks_its_running_try_to_stop(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        token = take(session, first).token
        assert treatments.cancel(session, treatment_id).status == "cancelled"
        assert leases.renew(session, first, token, LEASE).cancel_requested
        endings.finish(session, first, token, "cancelled")
    assert state(engine, treatment_id) == ("cancelled", None, ["cancelled"])


@pytest.mark.parametrize("is_running", [False, True])
def test_cancelling_the_try_alone_ends_the_treatment_too(engine: Engine, is_running: bool) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        token = take(session, first).token if is_running else 0
        lifecycle.cancel(session, first)
        if is_running:
            endings.hand_over(session, first, token)
    assert state(engine, treatment_id) == ("cancelled", None, ["cancelled"])


def test_a_treatment_that_is_over_is_not_cancelled(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        end(session, first)
        assert treatments.cancel(session, treatment_id).status == "cured"


def test_the_end_of_a_try_that_was_cancelled_too_late_makes_no_other(engine: Engine) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        claimed = take(session, first)
        record(session, claimed, "mode collapse")
        treatments.cancel(session, treatment_id)
        endings.finish(session, first, claimed.token, "succeeded")
    assert state(engine, treatment_id) == ("cancelled", None, ["succeeded"])


def test_a_cancel_beside_the_end_of_a_try_leaves_nothing_running(engine: Engine) -> None:
    for _ in range(8):
        treatment_id, first = begin(engine)
        with transaction(engine) as session:
            claimed = take(session, first)
            record(session, claimed, "mode collapse")
        barrier = Barrier(2)

        def cancel(treatment_id: str = treatment_id, barrier: Barrier = barrier) -> None:
            barrier.wait()
            with transaction(engine) as session:
                treatments.cancel(session, treatment_id)

        def finish(claimed: claims.Claim = claimed, barrier: Barrier = barrier) -> None:
            barrier.wait()
            with transaction(engine) as session:
                endings.finish(session, claimed.run_id, claimed.token, "succeeded")

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(cancel), pool.submit(finish)]:
                done.result()
        status, _, tries = state(engine, treatment_id)
        assert (status, tries) in [("cancelled", ["succeeded"]), ("cancelled", ["succeeded", "cancelled"])]


# --- faults -----------------------------------------------------------------------------------------------------


GONE = (DatabaseUnavailable, psycopg.OperationalError, sqlite3.OperationalError)


@contextmanager
def failing(engine: Engine, beginning: str) -> Iterator[None]:
    """The database goes away at the first statement that begins so."""

    def fail(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(beginning):
            raise psycopg.OperationalError("gone") if engine.name == "postgresql" else sqlite3.OperationalError("gone")

    event.listen(engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", fail)


def finish(engine: Engine, claimed: claims.Claim) -> None:
    """What a training does at its end: everything in one transaction."""
    with transaction(engine) as session:
        record(session, claimed, "mode collapse")
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")


@pytest.mark.parametrize("statement", ["INSERT INTO runs", "SELECT treatments.id", "UPDATE attempts"])
def test_a_finish_that_fails_in_the_middle_leaves_neither_the_end_nor_the_next_try(
    engine: Engine, statement: str
) -> None:
    treatment_id, first = begin(engine)
    with transaction(engine) as session:
        claimed = take(session, first)
    with pytest.raises(GONE), failing(engine, statement):
        finish(engine, claimed)
    assert state(engine, treatment_id) == ("running", None, ["running"])
    with transaction(engine) as session:
        assert outcomes(session, first) == ["running"]
        assert lifecycle.get(session, first).epochs_done == 0
    finish(engine, claimed)
    assert state(engine, treatment_id) == ("running", None, ["succeeded", "queued"])
    with transaction(engine) as session:  # the same end again, as after a lost answer: nothing follows from it
        endings.finish(session, first, claimed.token, "succeeded")
    with pytest.raises(LeaseLost), transaction(engine) as session:
        endings.finish(session, first, claimed.token, "failed")
    assert len(state(engine, treatment_id)[2]) == 2


def test_a_finish_that_fails_at_the_end_of_its_treatment_is_undone(engine: Engine) -> None:
    treatment_id, first = begin(engine, max_tries=1)
    with transaction(engine) as session:
        claimed = take(session, first)
    with pytest.raises(GONE), failing(engine, "UPDATE treatments"):
        finish(engine, claimed)
    assert state(engine, treatment_id) == ("running", None, ["running"])


# --- families ---------------------------------------------------------------------------------------------------


def test_a_family_is_the_same_whichever_member_is_asked_for(engine: Engine) -> None:
    with transaction(engine) as session:
        root = make_run(session, "mode collapse")
        first = last_try(session, treat(session, root).id)
        end(session, first.id, "memorisation")
        second = last_try(session, str(first.treatment_id))
        end(session, second.id, "memorisation")
        third = last_try(session, str(first.treatment_id))
        end(session, third.id, "mode collapse")
        other = last_try(session, treat(session, third.id).id)
        stranger = create_run(session).id
    expected = [(root, 0), (first.id, 1), (second.id, 2), (third.id, 2), (other.id, 3)]
    with reading(engine) as session:
        for run_id, _ in expected:
            assert [(m.run.id, m.depth) for m in family(session, run_id)] == expected
        assert [(m.run.id, m.depth) for m in family(session, stranger)] == [(stranger, 0)]
        with pytest.raises(RunNotFound):
            family(session, "nothing")


def test_a_family_may_be_as_deep_as_it_likes(sqlite_engine: Engine) -> None:
    with transaction(sqlite_engine) as session:
        ids = [create_run(session).id for _ in range(1200)]
        for parent, child in pairwise(ids):
            session.execute(update(Run).where(Run.id == child).values(parent_id=parent))
    with reading(sqlite_engine) as session:
        members = family(session, ids[600])
    assert [member.run.id for member in members] == ids
    assert members[-1].depth == 1199
