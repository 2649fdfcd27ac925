"""How a run's fakes compare with real data."""

from fastapi import APIRouter

from api.deps import FoundRun, Reader
from api.errors import documented
from api.runs.record_schemas import EvaluationList, EvaluationView
from store.runs import records

router = APIRouter(prefix="/runs/{run_id}/evaluations", tags=["evaluations"])


@router.get("", responses=documented(404))
def list_evaluations(run: FoundRun, session: Reader) -> EvaluationList:
    """List the evaluated epochs, from that of the untrained generator."""
    found = records.evaluations(session, run.id)
    return EvaluationList(items=[EvaluationView.model_validate(evaluation.to_json()) for evaluation in found])
