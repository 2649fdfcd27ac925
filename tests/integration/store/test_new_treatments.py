"""Treatments that are asked for: what they begin with, and what is refused."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from ganlib.diagnosis.prescribe import prescribe
from ganlib.spec.request import InvalidRequest
from ganlib.spec.run import RunSpec
from ganlib.wire.treatments import TreatmentRequest
from store import treatments
from store.core.db import reading, transaction
from store.core.errors import IdempotencyConflict, NotTreatable, RunNotFound, TreatmentNotFound
from store.core.models import Run
from store.files.artifacts import StoredArtifact
from store.runs import endings, lifecycle
from store.runs.lineage import family
from store.uploads import UploadedSet
from store.uploads import create as create_upload
from tests.support.comparison import create_comparison
from tests.support.store import claim_run, create_run
from tests.support.treatment import EPOCHS, FAILURE, end, last_try, make_run, treat


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
