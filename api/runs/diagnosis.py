"""What is wrong with a run, with its evidence."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import FoundRun, Reader, RunId, ServicesDep
from api.errors import NotRecorded, documented
from api.requests import DiagnosisQuery, HistoryQuery
from ganlib.diagnosis.verdict import Diagnosis, Picture
from ganlib.wire.diagnoses import DiagnosisList, DiagnosisView
from ganlib.wire.paths import run_path
from store.runs import records, rediagnosis

router = APIRouter(prefix="/runs/{run_id}/diagnosis", tags=["diagnosis"])


@router.get("", responses=documented(404, 422))
def get_diagnosis(run: FoundRun, session: Reader, query: Annotated[DiagnosisQuery, Query()]) -> DiagnosisView:
    """Read the verdict up to an epoch, with its findings and remedies, by the newest ruleset that has judged it."""
    diagnosis = records.diagnosis(session, run.id, query.epoch, query.ruleset)
    if diagnosis is None:
        raise NotRecorded(_missing(query, records.rulesets(session, run.id)))
    return _view(run.id, diagnosis)


def _missing(query: DiagnosisQuery, rulesets: list[str]) -> str:
    """The diagnosis that a run of these rulesets does not have."""
    of_epoch = "" if query.epoch is None else f" of epoch {query.epoch}"
    if query.ruleset is None:
        return f"diagnosis{of_epoch or ' yet'}"
    known = ", ".join(rulesets) or "none"
    return f"diagnosis{of_epoch} by the ruleset '{query.ruleset}'; those that have judged it: {known}"


@router.get("/history", responses=documented(404, 422))
def list_diagnoses(run: FoundRun, session: Reader, query: Annotated[HistoryQuery, Query()]) -> DiagnosisList:
    """List the verdict after each epoch, by one ruleset, or each by the newest that has judged it."""
    found = records.diagnoses(session, run.id, query.ruleset, since=query.since)
    return DiagnosisList(items=tuple(_view(run.id, diagnosis) for diagnosis in found))


@router.post("", responses=documented(404, 409))
def diagnose_again(run_id: RunId, services: ServicesDep) -> DiagnosisView:
    """Diagnose a run that is over by the ruleset of this version; what earlier ones said stays beside it."""
    diagnosis = rediagnosis.rediagnose(services.engine, run_id)
    if diagnosis is None:
        raise NotRecorded("epoch to diagnose")
    return _view(run_id, diagnosis)


def _view(run_id: str, diagnosis: Diagnosis) -> DiagnosisView:
    document = diagnosis.to_json()
    for finding in document["findings"]:
        for evidence in finding["evidence"]:
            evidence["href"] = _picture_path(run_id, evidence["picture"], evidence["last_epoch"])
    return DiagnosisView.model_validate(document)


def _picture_path(run_id: str, picture: Picture, epoch: int) -> str:
    run = run_path(run_id)
    match picture:
        case "losses":
            return f"{run}/figures/losses.png"
        case "samples":
            return f"{run}/samples/{epoch}"
        case "ndb":
            return f"{run}/figures/ndb.png?epoch={epoch}"
