"""Sick runs, their treatments, and what becomes of the tries."""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.findings import FindingName, Severity
from ganlib.wire.treatments import TreatmentRequest
from store import treatments
from store.core.db import reading, transaction
from store.core.models import Run, Treatment
from store.runs import endings
from store.runs.claims import Claim, claim
from store.runs.endings import Outcome
from store.runs.lifecycle import create
from store.runs.recording import record_epoch
from tests.support.store import LEASE, epoch_record, request

EPOCHS = 3
FAILURE = {"error": "gone", "error_kind": "Gone"}


def found(epoch: int, *names: FindingName, severity: Severity = "severe", verdict: Any = None) -> Diagnosis:
    """The diagnosis with these findings; healthy without any."""
    findings = tuple(Finding(name=n, severity=severity, first_epoch=1, summary="", evidence=()) for n in names)
    cause: Any = names[0].partition(":")[0] if names and severity != "mild" else "healthy"
    return Diagnosis(
        epoch=epoch,
        verdict=verdict or cause,
        severity=severity if names else "none",
        findings=findings,
        reason="as it was made up",
        ruleset="test-1",
    )


def make_run(session: Session, *names: FindingName, outcome: Outcome = "succeeded", **settings: Any) -> str:
    """The id of a run that is over, and whose last epoch has these findings; those before have none."""
    wanted = request("first", **settings)
    run_id = create(session, wanted, wanted.resolve()).id
    end(session, run_id, *names, outcome=outcome)
    return run_id


def treat(session: Session, run_id: str, **wanted: Any) -> Treatment:
    """A new treatment of the run."""
    return treatments.create(session, run_id, TreatmentRequest(**wanted))


def take(session: Session, run_id: str) -> Claim:
    """The queued run, claimed; no other may be queued before it."""
    claimed = claim(session, "worker-1", LEASE)
    assert claimed is not None
    assert claimed.run_id == run_id
    return claimed


def record(session: Session, claimed: Claim, *names: FindingName, epochs: int = EPOCHS, **how: Any) -> None:
    """Records epochs, of which the last one has these findings."""
    for epoch in range(1, epochs + 1):
        diagnosis = found(epoch, *names, **how) if epoch == epochs else found(epoch)
        record_epoch(session, epoch_record(claimed, epoch, diagnosis=diagnosis))


def end(
    session: Session, run_id: str, *names: FindingName, outcome: Outcome = "succeeded", epochs: int = EPOCHS, **how: Any
) -> None:
    """Brings the queued run to its end."""
    claimed = take(session, run_id)
    record(session, claimed, *names, epochs=epochs, **how)
    endings.finish(session, run_id, claimed.token, outcome)


def last_try(session: Session, treatment_id: str) -> Run:
    """The treatment's newest run."""
    return treatments.tries(session, treatment_id)[-1]


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
