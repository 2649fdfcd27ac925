"""Treatments: the search for a cure of a run that is over. Create, look up, cancel, and go on when a try ends.

A treatment makes one run at a time, a try. No process drives it: the transaction that ends a try also stores what
`ganlib.diagnosis.treatment` decides, the next try or the end of the treatment. Workers find the new run as any other.
"""

from dataclasses import asdict

from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ganlib.diagnosis.signals import quality_of
from ganlib.diagnosis.treatment import (
    Budget,
    Case,
    Ending,
    NextTry,
    Saved,
    decide,
    default_max_epochs,
    harmful,
    is_harmless,
)
from ganlib.findings import SEVERITIES, FindingName
from ganlib.records import EpochEvaluation
from ganlib.spec.data import UploadChoice
from ganlib.spec.problems import in_words, problems_of
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.wire.statuses import FINAL_STATUSES
from ganlib.wire.treatments import TreatmentRequest
from store import uploads
from store.core.db import clock
from store.core.errors import NotTreatable, TreatmentNotFound, UploadNotFound
from store.core.idempotency import insert_once, made_with
from store.core.models import DiagnosisRow, Epoch, EvaluationRow, Run, Treatment
from store.runs import events, records
from store.runs.lifecycle import ask_to_stop, get_locked, hash_request, new_id, new_run
from store.runs.lifecycle import get as get_run
from store.scheduling.owners import Owner

LONGEST_NAME = 200
HARMLESS = [severity for severity in SEVERITIES if is_harmless(severity)]
FINDING: TypeAdapter[FindingName] = TypeAdapter(FindingName)


class _OfRun(BaseModel):
    run_id: str


def create(
    session: Session, run_id: str, request: TreatmentRequest, *, idempotency_key: str | None = None
) -> Treatment:
    """A new treatment with its first try queued, or the one that the same request with the same key made.

    Raises:
        RunNotFound: there is no such run.
        NotTreatable: the run is not over, nothing in it is to be treated, nothing is known to help, or the same
            finding is being treated.
        InvalidRequest: the run has no such finding, or the epochs are too few for a try.
        IdempotencyConflict: the key was used for another request.
    """
    sick = get_locked(session, run_id)  # nobody else begins to treat it before this transaction ends
    request_hash = hash_request(_OfRun(run_id=run_id), request)
    if idempotency_key is not None:
        first = made_with(session, Treatment, idempotency_key, request_hash)
        if first is not None:
            return first
    finding = _finding_to_treat(session, sick, request)
    if sick.watched:
        raise NotTreatable(run_id, "it is trained elsewhere; change there what the remedies of its diagnosis name")
    case = _case_of_any_version(session, sick)
    budget = Budget(
        max_tries=request.max_tries, max_epochs=request.max_epochs or default_max_epochs(case.spec, request.max_tries)
    )
    first_try = _first_try(case, finding, budget)
    _keep_upload(session, case)
    treatment = Treatment(
        id=new_id(),
        run_id=sick.id,
        finding=finding,
        status="running",
        max_tries=budget.max_tries,
        max_epochs=budget.max_epochs,
        request_hash=request_hash,
        created_at=clock(session),
    )
    insert_once(session, treatment, idempotency_key)  # nobody else has made it since: the sick run is locked
    _make_try(session, treatment, first_try)
    return treatment


def _case_of_any_version(session: Session, run: Run) -> Case:
    try:
        return _case(session, run)
    except ValidationError:
        raise NotTreatable(run.id, "its spec, of another version, is not valid in this one") from None


def _finding_to_treat(session: Session, run: Run, request: TreatmentRequest) -> FindingName:
    """The finding that was asked for, or the first harmful one."""
    if run.status not in FINAL_STATUSES:
        raise NotTreatable(run.id, f"it is {run.status}; wait for its end, or cancel it first")
    diagnosis = records.diagnosis(session, run.id)
    if diagnosis is None:
        raise NotTreatable(run.id, "it ended before its first epoch did, so that nothing is known of it")
    names = [finding.name for finding in diagnosis.findings]
    if request.finding is not None and request.finding not in names:
        there = f"allowed: {', '.join(repr(name) for name in names)}" if names else "it has none"
        raise InvalidRequest({"finding": f"'{request.finding}' is not a finding of the run; {there}"})
    wanted: FindingName | None = request.finding or next((f.name for f in harmful(diagnosis)), None)
    if wanted is None:
        mild = f"; to treat a mild finding, name it: {', '.join(repr(name) for name in names)}" if names else ""
        raise NotTreatable(run.id, f"its verdict is '{diagnosis.verdict}', without a moderate or severe finding{mild}")
    same = (Treatment.run_id == run.id, Treatment.finding == wanted, Treatment.status == "running")
    going_on = session.scalars(select(Treatment.id).where(*same).limit(1)).one_or_none()
    if going_on is not None:
        raise NotTreatable(run.id, f"the treatment '{going_on}' of its '{wanted}' is running; wait, or cancel it first")
    return wanted


def _first_try(case: Case, finding: FindingName, budget: Budget) -> NextTry:
    decision = decide(case, finding, (), budget)
    if isinstance(decision, NextTry):
        return decision
    ample = decide(case, finding, (), Budget(max_tries=1, max_epochs=10**9))
    if isinstance(ample, Ending):
        raise NotTreatable(case.run_id, f"no remedy is known for its '{finding}' that would change its spec")
    raise InvalidRequest({"max_epochs": f"{decision.reason}; give more"})


def _keep_upload(session: Session, case: Case) -> None:
    """Keeps the upload that the run trained on from being deleted before this transaction ends."""
    if isinstance(case.spec.dataset, UploadChoice):
        try:
            uploads.get_locked(session, case.spec.dataset.upload, shared=True)
        except UploadNotFound:
            raise NotTreatable(case.run_id, "the upload that it trained on was deleted") from None


def get(session: Session, treatment_id: str) -> Treatment:
    """The treatment of that id, as the database has it now.

    Raises:
        TreatmentNotFound: there is none.
    """
    treatment = session.get(Treatment, treatment_id, populate_existing=True)
    if treatment is None:
        raise TreatmentNotFound(treatment_id)
    return treatment


def of_run(session: Session, run_id: str) -> list[Treatment]:
    """The treatments of a run, in their order."""
    query = select(Treatment).where(Treatment.run_id == run_id)
    return list(session.scalars(query.order_by(Treatment.created_at, Treatment.id)))


def tries(session: Session, treatment_id: str) -> list[Run]:
    """The runs that the treatment made, in their order."""
    query = select(Run).where(Run.treatment_id == treatment_id).order_by(Run.created_at, Run.seed, Run.id)
    return list(session.scalars(query, execution_options={"populate_existing": True}))


def healthy_epochs(session: Session, run_id: str) -> set[int]:
    """The run's epochs without a moderate or severe finding: a try may begin with the last one's checkpoint."""
    return set(session.scalars(_healthy_epochs(run_id)))


def cancel(session: Session, treatment_id: str) -> Treatment:
    """The treatment after its end; its try is cancelled as `runs.cancel` does it. One that is over stays as it is.

    Raises:
        TreatmentNotFound: there is none.
    """
    treatment = get(session, treatment_id)
    for _ in range(treatment.max_tries):  # a try may end, and the next one be made, just before it is asked to stop
        if treatment.status != "running":
            break
        ask_to_stop(session, "training", tries(session, treatment_id)[-1].id)
        treatment = get(session, treatment_id)
    return treatment


def go_on(session: Session, run: Run) -> None:
    """Stores what follows the end of a run in this transaction; nothing, unless a treatment that is running made it."""
    if run.treatment_id is None or run.status not in FINAL_STATUSES:
        return
    # After the run's own row, which the caller has written: see `runs.ask_to_stop`.
    query = select(Treatment).where(Treatment.id == run.treatment_id).with_for_update(key_share=True)
    treatment = session.scalars(query, execution_options={"populate_existing": True}).one()
    if treatment.status != "running":
        return
    decision = _decide(session, treatment)
    if isinstance(decision, NextTry):
        _make_try(session, treatment, decision)
        return
    treatment.status, treatment.reason, treatment.best_run_id = decision.status, decision.reason, decision.best
    treatment.finished_at = clock(session)
    events.note_treatment(session, treatment)


def _decide(session: Session, treatment: Treatment) -> NextTry | Ending:
    try:
        return decide(
            _case(session, get_run(session, treatment.run_id)),
            FINDING.validate_python(treatment.finding),
            [_case(session, run) for run in tries(session, treatment.id)],
            Budget(max_tries=treatment.max_tries, max_epochs=treatment.max_epochs),
        )
    except (ValidationError, InvalidRequest) as error:  # stored by another version of this code: the run has to end
        problems = problems_of(error, whole="") if isinstance(error, ValidationError) else error.problems
        reason = f"its runs can no longer be read: {in_words(problems)}"
        return Ending(status="exhausted", reason=reason, best=None)


def _make_try(session: Session, treatment: Treatment, decided: NextTry) -> None:
    """Queues the run, with priority and owner of the one that it descends from."""
    parent = get_run(session, decided.parent_id)
    name = f"{parent.name or parent.preset or parent.id}: {decided.remedy.name}"[:LONGEST_NAME]
    child = new_run(
        RunRequest(spec=decided.spec.model_dump(mode="json"), name=name),
        decided.spec,
        priority=parent.priority,
        owner=Owner.of(parent),
    )
    child.parent_id, child.treatment_id = parent.id, treatment.id
    child.remedy, child.patch = decided.remedy.name, decided.remedy.patch
    child.warm_start = None if decided.warm_start is None else asdict(decided.warm_start)
    child.created_at = clock(session)
    session.add(child)
    events.note_status(session, child)
    events.note_treatment(session, treatment, child.id)


# --- from rows to a case ----------------------------------------------------------------------------------------


def _case(session: Session, run: Run) -> Case:
    return Case(
        run_id=run.id,
        spec=RunSpec.model_validate(run.spec),
        status=run.status,
        epochs=run.epochs_done,
        diagnosis=records.diagnosis(session, run.id),
        quality=_quality(session, run.id),
        last=_checkpoint(session, run.id, healthy=False),
        healthy=_checkpoint(session, run.id, healthy=True),
        parent_id=run.parent_id,
        remedy=run.remedy,
    )


def _quality(session: Session, run_id: str) -> float | None:
    query = select(EvaluationRow.document).where(EvaluationRow.run_id == run_id, EvaluationRow.epoch > 0)
    document = session.scalar(query.order_by(EvaluationRow.epoch.desc()).limit(1))
    return None if document is None else quality_of(EpochEvaluation.from_json(document))


def _checkpoint(session: Session, run_id: str, *, healthy: bool) -> Saved | None:
    """The run's last checkpoint, or that of its last epoch without a harmful finding."""
    query = select(Epoch.epoch, Epoch.checkpoint).where(Epoch.run_id == run_id, Epoch.checkpoint.is_not(None))
    if healthy:
        query = query.where(Epoch.epoch.in_(_healthy_epochs(run_id)))
    row = session.execute(query.order_by(Epoch.epoch.desc()).limit(1)).one_or_none()
    return None if row is None else Saved(epoch=row[0], file=str(row[1]))


def _healthy_epochs(run_id: str) -> Select[int]:
    return select(DiagnosisRow.epoch).where(DiagnosisRow.run_id == run_id, DiagnosisRow.severity.in_(HARMLESS))
