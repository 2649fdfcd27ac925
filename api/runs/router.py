"""Runs: create, list, look at, cancel, delete."""

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query

from api.deletion import delete_files_of_run
from api.deps import (
    CallerDep,
    IdempotencyKey,
    JsonBody,
    Reader,
    RingAfterAnswer,
    RunId,
    ServicesDep,
    ServiceStorageRoom,
    StorageRoom,
    Writer,
    require_may_change,
    require_storage_of,
)
from api.errors import documented
from api.requests import RunQuery
from api.runs.resolve import resolve
from api.runs.views import run_detail, run_view
from api.submission import SubmissionDep, accepted
from ganlib.spec.request import RunRequest
from ganlib.wire.extensions import Extension
from ganlib.wire.paths import run_path
from ganlib.wire.runs import RunDetail, RunPage, RunView, TagsRequest
from store.runs import deletion, extensions, lifecycle, pauses, tags
from store.scheduling.accounts import EQUAL
from store.scheduling.owners import Owner
from store.scheduling.quotas import require_room

router = APIRouter(prefix="/runs", tags=["runs"])


@router.post(
    "",
    status_code=202,
    dependencies=[JsonBody, StorageRoom],
    responses=accepted(400, 403, 409, 413, 415, 422, 429, 507),
)
def create_run(request: RunRequest, session: Writer, submission: SubmissionDep) -> RunView:
    """Queue a run. It is stored when this is answered."""
    spec = resolve(request, session)
    run = lifecycle.create(
        session, request, spec, owner=submission.caller.owner, idempotency_key=submission.idempotency_key
    )
    submission.admit(session, [run], priorities={"priority": request.priority})
    submission.announce(run_path(run.id))
    return run_view(run)


@router.get("", responses=documented(422))
def list_runs(session: Reader, query: Annotated[RunQuery, Query()]) -> RunPage:
    """List the runs that match every filter, newest first."""
    page = lifecycle.list_runs(
        session,
        status=query.status,
        preset=query.preset,
        verdict=query.verdict,
        batch_id=query.batch,
        name=query.name,
        user=query.user,
        team=query.team,
        with_tags=query.tag,
        made_after=None if query.made_after is None else query.made_after.timestamp(),
        made_before=None if query.made_before is None else query.made_before.timestamp(),
        limit=query.limit,
        cursor=query.cursor,
    )
    return RunPage(items=tuple(run_view(run) for run in page.items), next_cursor=page.next_cursor)


@router.get("/{run_id}", responses=documented(404))
def get_run(run_id: RunId, session: Reader) -> RunDetail:
    """Look at a run, with its spec and its attempts."""
    return run_detail(lifecycle.get(session, run_id), lifecycle.attempts(session, run_id))


@router.put("/{run_id}/tags", dependencies=[JsonBody], responses=documented(400, 403, 404, 413, 415, 422))
def tag_run(run_id: RunId, request: TagsRequest, session: Writer, caller: CallerDep) -> RunView:
    """Give a run these tags instead of those that it has."""
    run = lifecycle.get_locked(session, run_id)
    require_may_change(caller, run)
    tags.change(session, run, request.tags)
    return run_view(run)


@router.post("/{run_id}/cancel", status_code=202, responses=documented(403, 404))
def cancel_run(run_id: RunId, session: Writer, caller: CallerDep) -> RunView:
    """Ask for the end of a run. A queued or paused one ends at once; one that is over stays as it is."""
    require_may_change(caller, lifecycle.get(session, run_id))
    return run_view(lifecycle.cancel(session, run_id))


@router.post("/{run_id}/pause", status_code=202, responses=documented(403, 404, 409))
def pause_run(run_id: RunId, session: Writer, caller: CallerDep) -> RunView:
    """Ask a run to pause. A queued one is paused at once, a running one with its next epoch; its device is free then.

    What is asked for, and not done yet, is in `pause_requested`.
    """
    require_may_change(caller, lifecycle.get(session, run_id))
    return run_view(pauses.pause(session, run_id))


@router.post("/{run_id}/resume", status_code=202, responses=documented(403, 404, 409))
def resume_run(
    run_id: RunId, session: Writer, services: ServicesDep, ring: RingAfterAnswer, caller: CallerDep
) -> RunView:
    """Put a paused run back into the queue, at its old place, or call off the pause of one that is running."""
    run = lifecycle.get_locked(session, run_id)  # of two requests at once, the second sees what the first has done
    require_may_change(caller, run)
    was_queued = run.status == "queued"
    run = pauses.resume(session, run_id)
    if run.status == "queued" and not was_queued:
        require_room(session, Owner.of(run), services.accounts.sharing)
    ring()
    return run_view(run)


@router.delete("/{run_id}", status_code=204, responses=documented(403, 404, 409, 422))
def delete_run(
    run_id: RunId,
    session: Writer,
    services: ServicesDep,
    background: BackgroundTasks,
    caller: CallerDep,
    with_labels: Annotated[bool, Query(description="Whether people's labels of it may be deleted, too.")] = False,
) -> None:
    """Delete a run that is over, with everything that it has recorded.

    One that remedies made other runs of stays until those are deleted.
    """
    require_may_change(caller, lifecycle.get(session, run_id))
    sharing = EQUAL if caller.administrator else services.accounts.sharing
    artifacts = deletion.delete_run(session, run_id, with_labels=with_labels, sharing=sharing)
    background.add_task(delete_files_of_run, services, run_id, artifacts)  # runs after the commit


@router.post(
    "/{run_id}/extend",
    status_code=202,
    dependencies=[JsonBody, ServiceStorageRoom],
    responses=documented(400, 403, 404, 409, 413, 415, 422, 429, 507),
)
def extend_run(
    run_id: RunId,
    request: Extension,
    session: Writer,
    services: ServicesDep,
    ring: RingAfterAnswer,
    caller: CallerDep,
    idempotency_key: IdempotencyKey,
) -> RunView:
    """Let a run that succeeded, was halted, or has used up its time go on from its last checkpoint, with more epochs.

    The attempts that it may lose, and the hours that its spec allows, are counted anew.
    """
    run = lifecycle.get_locked(session, run_id)  # of two requests at once, the second sees what the first has done
    require_may_change(caller, run)
    require_storage_of(Owner.of(run), services)
    was_queued = run.status == "queued"
    run = extensions.extend(session, run_id, request.epochs, idempotency_key=idempotency_key)
    if run.status == "queued" and not was_queued:
        require_room(session, Owner.of(run), services.accounts.sharing)
    ring()
    return run_view(run)
