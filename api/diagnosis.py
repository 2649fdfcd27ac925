"""What is wrong with a run, with its evidence."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import FoundRun, Reader
from api.errors import NotRecorded, documented
from api.record_schemas import DiagnosisList, DiagnosisView
from api.requests import EpochQuery
from store import epochs

router = APIRouter(prefix="/runs/{run_id}/diagnosis", tags=["diagnosis"])


@router.get("", responses=documented(404, 422))
def get_diagnosis(run: FoundRun, session: Reader, query: Annotated[EpochQuery, Query()]) -> DiagnosisView:
    """Read the verdict up to an epoch, with its findings and remedies."""
    diagnosis = epochs.diagnosis(session, run.id, query.epoch)
    if diagnosis is None:
        raise NotRecorded("diagnosis yet" if query.epoch is None else f"diagnosis of epoch {query.epoch}")
    return DiagnosisView.of(run.id, diagnosis)


@router.get("/history", responses=documented(404))
def list_diagnoses(run: FoundRun, session: Reader) -> DiagnosisList:
    """List the verdict after each epoch."""
    found = epochs.diagnoses(session, run.id)
    return DiagnosisList(items=[DiagnosisView.of(run.id, diagnosis) for diagnosis in found])
