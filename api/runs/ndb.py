"""The bins of NDB: how a run's fakes are spread over them, and what each holds."""

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from api.deps import FoundRun, Reader
from api.errors import NotRecorded, documented
from api.requests import EpochQuery
from api.runs.record_schemas import NdbView
from ganlib.records import EpochEvaluation
from store.runs import records

router = APIRouter(prefix="/runs/{run_id}/ndb", tags=["evaluations"])


@router.get("", responses=documented(404, 422))
def get_ndb(run: FoundRun, session: Reader, query: Annotated[EpochQuery, Query()]) -> NdbView:
    """Look at the bins of an epoch: shares, tests, and the numbers of those that differ."""
    return NdbView.of(run.id, find_ndb(session, run.id, query.epoch))


def find_ndb(session: Session, run_id: str, epoch: int | None) -> EpochEvaluation:
    """The evaluation of that epoch, by default of the last one, with its bins.

    Raises:
        NotRecorded: there is none.
    """
    wanted = [e for e in records.evaluations(session, run_id) if e.bins and epoch in {None, e.epoch}]
    if not wanted:
        raise NotRecorded("NDB yet" if epoch is None else f"NDB of epoch {epoch}")
    return wanted[-1]
