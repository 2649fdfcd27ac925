"""How a run's fakes compare with real data."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import FoundRun, Reader
from api.errors import documented
from api.requests import SinceQuery
from ganlib.wire.epochs import EvaluationList
from store.runs import records

router = APIRouter(prefix="/runs/{run_id}/evaluations", tags=["evaluations"])


@router.get("", responses=documented(404, 422))
def list_evaluations(run: FoundRun, session: Reader, query: Annotated[SinceQuery, Query()]) -> EvaluationList:
    """List the evaluated epochs, from that of the untrained generator."""
    return EvaluationList(items=tuple(records.evaluations(session, run.id, since=query.since)))
