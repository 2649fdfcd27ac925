"""Batches: many runs created in one call."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.deps import (
    JsonBody,
    Reader,
    StorageRoom,
    Writer,
)
from api.errors import documented
from api.requests import ResultQuery
from api.runs.resolve import resolve_all
from api.runs.results import as_csv, result_row, sorted_rows
from api.runs.views import run_view
from api.submission import SubmissionDep, accepted
from api.views import utc
from ganlib.spec.sweep import BatchRequest
from ganlib.wire.batches import BatchView
from ganlib.wire.paths import batch_path
from ganlib.wire.problems import MAX_FIELD_PROBLEMS
from ganlib.wire.results import BatchResults
from store.core.models import Batch
from store.runs import batches, results

CSV = "text/csv"
MOST_OF_A_SWEEP = 20
"""Problems of a sweep that are told: runs of one sweep have them alike."""

router = APIRouter(prefix="/batches", tags=["batches"])


@router.post(
    "",
    status_code=202,
    dependencies=[JsonBody, StorageRoom],
    responses=accepted(400, 403, 409, 413, 415, 422, 429, 507),
)
def create_batch(request: BatchRequest, session: Writer, submission: SubmissionDep) -> BatchView:
    """Queue many runs, given one by one or as a sweep: all of them, or none where one is not valid."""
    requests = request.requests()
    resolved = resolve_all(requests, session, most_problems=MOST_OF_A_SWEEP if request.sweep else MAX_FIELD_PROBLEMS)
    batch = batches.create_batch(
        session,
        resolved,
        name=request.name,
        owner=submission.caller.owner,
        idempotency_key=submission.idempotency_key,
    )
    priorities = {f"runs[{index}].priority": run.priority for index, run in enumerate(requests)}
    submission.admit(session, batch.runs, priorities=priorities)
    submission.announce(batch_path(batch.id))
    return _view(batch)


@router.get("/{batch_id}", responses=documented(404))
def get_batch(
    batch_id: Annotated[str, Path(description="Id of the batch, 16 hex digits.")], session: Reader
) -> BatchView:
    """Look at a batch, with its runs as they are now."""
    return _view(batches.get_batch(session, batch_id))


@router.get(
    "/{batch_id}/results",
    response_model=BatchResults,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}, **documented(404, 422)},
)
def get_batch_results(
    batch_id: Annotated[str, Path(description="Id of the batch, 16 hex digits.")],
    session: Reader,
    query: Annotated[ResultQuery, Query()],
) -> BatchResults | Response:
    """Read what came of a batch's runs, as far as they are: in what they differ, their last figures, their verdicts."""
    batch = batches.get_batch(session, batch_id)
    varied, found = results.results_of(session, batch.runs)
    figures = results.figure_names(found)
    rows = [result_row(each) for each in found if query.verdict in (None, each.run.verdict)]
    if query.sort is not None:
        rows = sorted_rows(rows, query.sort)
    if query.format == "csv":
        headers = {"Content-Disposition": f'attachment; filename="{batch.id}.csv"', "X-Content-Type-Options": "nosniff"}
        return Response(as_csv(varied, figures, rows), media_type=f"{CSV}; charset=utf-8", headers=headers)
    return BatchResults(
        batch_id=batch.id, name=batch.name, varied=tuple(varied), figures=tuple(figures), items=tuple(rows)
    )


def _view(batch: Batch) -> BatchView:
    return BatchView(
        id=batch.id,
        name=batch.name,
        created_at=utc(batch.created_at),
        runs=tuple(run_view(run) for run in batch.runs),
    )
