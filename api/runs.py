"""Runs: create, list, look at, cancel."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query, Response

from api.deps import IdempotencyKey, JsonBody, Reader, RunId, ServicesDep, Writer
from api.errors import documented
from api.requests import RunQuery
from api.resolve import resolve
from api.schemas import RunDetail, RunPage, RunView, run_path
from ganlib.request import RunRequest
from store import runs

router = APIRouter(prefix="/runs", tags=["runs"])


@router.post(
    "",
    status_code=202,
    dependencies=[JsonBody],
    responses={202: {"headers": {"Location": {"schema": {"type": "string"}}}}, **documented(400, 409, 413, 415, 422)},
)
def create_run(
    request: RunRequest,
    session: Writer,
    services: ServicesDep,
    background: BackgroundTasks,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> RunView:
    """Queue a run. It is stored when this is answered."""
    run = runs.create(session, request, resolve(request, session), idempotency_key=idempotency_key)
    background.add_task(services.bell, services.settings)  # runs after the response, thus after the commit
    response.headers["Location"] = run_path(run.id)
    return RunView.of(run)


@router.get("", responses=documented(422))
def list_runs(session: Reader, query: Annotated[RunQuery, Query()]) -> RunPage:
    """List the runs that match every filter, newest first."""
    page = runs.list_runs(
        session,
        status=query.status,
        preset=query.preset,
        verdict=query.verdict,
        batch_id=query.batch,
        name=query.name,
        limit=query.limit,
        cursor=query.cursor,
    )
    return RunPage(items=[RunView.of(run) for run in page.items], next_cursor=page.next_cursor)


@router.get("/{run_id}", responses=documented(404))
def get_run(run_id: RunId, session: Reader) -> RunDetail:
    """Look at a run, with its spec and its attempts."""
    return RunDetail.with_attempts(runs.get(session, run_id), runs.attempts(session, run_id))


@router.post("/{run_id}/cancel", status_code=202, responses=documented(404))
def cancel_run(run_id: RunId, session: Writer) -> RunView:
    """Ask for the end of a run. A queued one ends at once; one that is over stays as it is."""
    return RunView.of(runs.cancel(session, run_id))
