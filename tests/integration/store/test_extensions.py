"""Extending runs that are over, on both databases and over HTTP."""

from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from ganlib.spec.hashing import spec_hash
from ganlib.spec.request import InvalidRequest
from ganlib.spec.run import RunSpec
from ganlib.wire.treatments import TreatmentRequest
from store.core.db import transaction
from store.core.errors import NotExtendable, RunNotFound
from store.core.models import Epoch
from store.runs import claims, endings, extensions
from store.runs.lifecycle import create, get
from store.runs.recording import record_epoch
from store.treatments import create as treat
from tests.support.api import Service
from tests.support.store import LEASE, claim_run, create_run, epoch_record, request
from tests.support.treatment import make_run


def finished(session: Session, outcome: endings.Outcome = "succeeded", epochs: int = 3, **settings: Any) -> str:
    """A run that is over after so many of its 3 epochs, each with a checkpoint."""
    wanted = request(**settings)
    run_id = create(session, wanted, wanted.resolve(), priority=9).id
    claimed = claim_run(session)
    for epoch in range(1, epochs + 1):
        record_epoch(session, epoch_record(claimed, epoch))
    session.execute(update(Epoch).where(Epoch.run_id == run_id).values(checkpoint="attempt-1-epoch-3.safetensors"))
    endings.finish(session, run_id, claimed.token, outcome)
    return run_id


def test_a_run_that_succeeded_is_queued_again_with_more_epochs(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = finished(session)
        before = RunSpec.model_validate(get(session, run_id).spec)
        run = extensions.extend(session, run_id, 20)
        assert (run.status, run.finished_at, run.epochs_done, run.epochs_total) == ("queued", None, 3, 23)
        assert run.extended_from == [3]
        after = RunSpec.model_validate(run.spec)
        assert (after.training.epochs, spec_hash(after)) == (23, run.spec_hash)
        assert extensions.specs_before(after, run.extended_from) == [before]
        claimed = claims.claim(session, "worker-1", LEASE)
        assert claimed is not None
        assert (claimed.run_id, claimed.attempt, claimed.spec) == (run_id, 2, after)


def test_a_halted_run_goes_on_from_where_it_is(engine: Engine) -> None:
    with transaction(engine) as session:
        run = extensions.extend(session, finished(session, "halted", 2), 5)
        assert (run.status, run.epochs_total, run.extended_from) == ("queued", 7, [3])


def test_attempts_before_an_extension_do_not_count_as_lost(engine: Engine) -> None:
    def lose(session: Session, run_id: str) -> str:
        token = claim_run(session).token
        return endings.requeue(session, run_id, token, error="killed", error_kind="TrainingDied", max_attempts=3)

    with transaction(engine) as session:
        run_id = finished(session, "halted", 2)
        extensions.extend(session, run_id, 1)
        assert lose(session, run_id) == "queued"
        claimed = claim_run(session)
        record_epoch(session, epoch_record(claimed, 3))
        endings.finish(session, run_id, claimed.token, "succeeded")
        extensions.extend(session, run_id, 1)
        assert [lose(session, run_id) for _ in range(3)] == ["queued", "queued", "failed"]


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_what_did_not_come_to_its_end_is_not_extended(engine: Engine, outcome: endings.Outcome) -> None:
    with transaction(engine) as session:
        run_id = finished(session, outcome)
        with pytest.raises(NotExtendable, match=f"it is {outcome}; only a run that succeeded, was halted, or"):
            extensions.extend(session, run_id, 1)
        with pytest.raises(NotExtendable, match="it is queued"):
            extensions.extend(session, create_run(session).id, 1)
        with pytest.raises(RunNotFound):
            extensions.extend(session, "0" * 16, 1)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"optimizer.schedule": {"kind": "linear"}}, r"optimizer\.schedule is 'linear', which follows from the number"),
        ({"optimizer.schedule": {"kind": "cosine"}}, r"optimizer\.schedule is 'cosine'"),
        ({"remedies.instance_noise": {}}, r"remedies\.instance_noise falls with each step"),
    ],
)
def test_a_run_whose_steps_follow_from_its_length_is_not_extended(
    engine: Engine, settings: dict[str, Any], why: str
) -> None:
    with transaction(engine) as session:
        run_id = finished(session, **settings)
        with pytest.raises(NotExtendable, match=why):
            extensions.extend(session, run_id, 1)


def test_a_run_without_its_last_checkpoint_is_not_extended(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = finished(session)
        session.execute(update(Epoch).where(Epoch.run_id == run_id, Epoch.epoch == 3).values(checkpoint=None))
        with pytest.raises(NotExtendable, match="the checkpoint of its last epoch is gone"):
            extensions.extend(session, run_id, 1)


def test_a_run_that_failed_for_want_of_a_checkpoint_is_extended_again_for_as_long_as_one_is_named(
    engine: Engine,
) -> None:
    with transaction(engine) as session:
        run_id = finished(session)
        extensions.extend(session, run_id, 5)
        claimed = claim_run(session)
        record_epoch(session, epoch_record(claimed, 4, checkpoint=None))
        endings.finish(session, run_id, claimed.token, "failed", error="gone", error_kind="CheckpointUnreadable")
        run = extensions.extend(session, run_id, 2)
        assert (run.status, run.error, run.error_kind) == ("queued", None, None)
        assert (run.epochs_done, run.epochs_total, run.extended_from) == (4, 6, [3, 8])
        claimed = claim_run(session)
        endings.finish(session, run_id, claimed.token, "failed", error="gone", error_kind="CheckpointUnreadable")
        session.execute(update(Epoch).where(Epoch.run_id == run_id).values(checkpoint=None))
        with pytest.raises(NotExtendable, match="it has no checkpoint"):
            extensions.extend(session, run_id, 2)


def test_a_run_that_is_treated_is_not_extended(engine: Engine) -> None:
    with transaction(engine) as session:
        sick = make_run(session, "mode collapse")
        session.execute(update(Epoch).where(Epoch.run_id == sick).values(checkpoint="x"))
        treatment = treat(session, sick, TreatmentRequest())
        with pytest.raises(NotExtendable, match=f"the treatment '{treatment.id}' goes by how it ended"):
            extensions.extend(session, sick, 1)


def test_more_epochs_than_a_run_may_have_are_refused(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = finished(session)
        with pytest.raises(InvalidRequest, match="epochs: the run has 3; with 100000 more it has too many"):
            extensions.extend(session, run_id, 100_000)


def test_a_run_is_extended_over_http(service: Service) -> None:
    with transaction(service.engine) as session:
        run_id = finished(session)
    path, key = f"/v1/runs/{run_id}/extend", {"Idempotency-Key": "k"}
    answer = service.client.post(path, json={"epochs": 2}, headers=key)
    assert answer.status_code == 202
    assert answer.json().items() >= {"status": "queued", "epochs_total": 5, "extended_from": [3]}.items()
    assert service.rung == [1]
    assert service.client.post(path, json={"epochs": 2}, headers=key).json()["epochs_total"] == 5  # made before
    for given, kind in ((key, "idempotency-conflict"), ({}, "not-extendable")):
        again = service.client.post(path, json={"epochs": 3}, headers=given)
        assert (again.status_code, again.json()["type"]) == (409, f"urn:ganclinic:problem:{kind}")
    assert service.client.post(path, json={"epochs": 0}).status_code == 422
