"""Runs at a glance, for a list that shows many."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Reader
from api.errors import documented
from api.requests import GlanceQuery
from api.runs.samples import sample_view
from ganlib.records import EpochEvaluation
from ganlib.wire.glances import GlanceList, GlanceView, NdbGlance
from store.core.models import EvaluationRow
from store.runs.glances import Glance, glances

router = APIRouter(prefix="/glances", tags=["runs"])


@router.get("", responses=documented(422))
def list_glances(session: Reader, query: Annotated[GlanceQuery, Query()]) -> GlanceList:
    """Look at many runs at a glance: losses in a few points, the newest samples and NDB, and the time left."""
    return GlanceList(items=tuple(_view(found) for found in glances(session, query.run)))


def _view(glance: Glance) -> GlanceView:
    return GlanceView(
        run_id=glance.run.id,
        epochs=tuple(epoch.epoch for epoch in glance.epochs),
        d_loss=tuple(epoch.means.get("d_loss") for epoch in glance.epochs),
        g_loss=tuple(epoch.means.get("g_loss") for epoch in glance.epochs),
        samples=None if glance.samples is None else sample_view(glance.samples),
        ndb=None if glance.evaluation is None else _ndb(glance.evaluation),
        epoch_seconds=glance.epoch_seconds,
        seconds_left=glance.seconds_left,
    )


def _ndb(row: EvaluationRow) -> NdbGlance | None:
    document = EpochEvaluation.from_json(row.document).to_json()
    if "ndb_over_k" not in document["values"]:
        return None
    return NdbGlance(
        epoch=row.epoch,
        ndb_over_k=document["values"]["ndb_over_k"],
        null=document["nulls"].get("ndb_over_k"),
    )
