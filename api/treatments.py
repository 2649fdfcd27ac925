"""Treatments: from a sick run towards a cure, one remedy after the other; and the families of runs that come of it."""

from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy.orm import Session

from api.deps import (
    CallerDep,
    FoundRun,
    JsonBody,
    Reader,
    RunId,
    ServiceStorageRoom,
    Writer,
    require_may_change,
    require_storage_of,
)
from api.errors import documented
from api.runs.views import run_view
from api.submission import SubmissionDep, accepted
from api.views import fields_of
from ganlib.wire.paths import run_path, treatment_path
from ganlib.wire.treatments import FamilyView, MemberView, TreatmentList, TreatmentRequest, TreatmentView
from store import treatments
from store.core.models import Treatment
from store.runs import lifecycle
from store.runs.lineage import Member, family
from store.scheduling.owners import Owner

TreatmentId = Annotated[str, Path(description="Id of the treatment, 16 hex digits.")]

router = APIRouter(tags=["treatments"])


@router.post(
    "/runs/{run_id}/treatments",
    status_code=202,
    dependencies=[JsonBody, ServiceStorageRoom],
    responses=accepted(400, 403, 404, 409, 413, 415, 422, 429, 507),
)
def create_treatment(
    run_id: RunId, session: Writer, submission: SubmissionDep, request: TreatmentRequest | None = None
) -> TreatmentView:
    """Treat a run that is over: queue a run with the first remedy, and when that does not help, with the next one.

    Each try has a new seed. A try with another finding in place of the treated one is treated next, so that patches
    add up.
    """
    sick = lifecycle.get(session, run_id)
    owner, request = Owner.of(sick), request or TreatmentRequest()
    require_may_change(submission.caller, sick)
    require_storage_of(owner, submission.services)
    treatment = treatments.create(session, run_id, request, idempotency_key=submission.idempotency_key)
    first_try = treatments.tries(session, treatment.id)[:1]  # no request makes the others
    submission.admit(session, first_try, owner=owner)
    submission.announce(treatment_path(treatment.id))
    return _view(session, treatment)


@router.get("/runs/{run_id}/treatments", responses=documented(404))
def list_treatments(run: FoundRun, session: Reader) -> TreatmentList:
    """List the treatments of a run, in their order."""
    return TreatmentList(items=tuple(_view(session, found) for found in treatments.of_run(session, run.id)))


@router.get("/runs/{run_id}/family", responses=documented(404))
def get_family(run_id: RunId, session: Reader) -> FamilyView:
    """Look at the run that people made and all that remedies made of it, whichever of them is named."""
    return FamilyView(items=tuple(_member(member) for member in family(session, run_id)))


@router.get("/treatments/{treatment_id}", responses=documented(404))
def get_treatment(treatment_id: TreatmentId, session: Reader) -> TreatmentView:
    """Look at a treatment, with its tries as they are now."""
    return _view(session, treatments.get(session, treatment_id))


@router.post("/treatments/{treatment_id}/cancel", status_code=202, responses=documented(403, 404))
def cancel_treatment(treatment_id: TreatmentId, session: Writer, caller: CallerDep) -> TreatmentView:
    """End a treatment, and ask for the end of its try. One that is over stays as it is."""
    require_may_change(caller, lifecycle.get(session, treatments.get(session, treatment_id).run_id))
    return _view(session, treatments.cancel(session, treatment_id))


def _view(session: Session, treatment: Treatment) -> TreatmentView:
    run = run_path(treatment.run_id)
    return TreatmentView(
        **fields_of(TreatmentView, treatment),
        tries=tuple(run_view(made) for made in treatments.tries(session, treatment.id)),
        links={"self": treatment_path(treatment.id), "run": run, "family": f"{run}/family"},
    )


def _member(member: Member) -> MemberView:
    return MemberView(**fields_of(MemberView, member.run), depth=member.depth)
