"""Watched runs: trainings elsewhere, whose trainers send steps and samples. Looked at afterwards, they are runs.

A trainer numbers what it sends of a run 1, 2, 3, …, and may send anything again: the number is part of the address.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.deps import (
    CallerDep,
    IdempotencyKey,
    JsonBody,
    Reader,
    RequestId,
    Services,
    ServicesDep,
    StorageRoom,
    Writer,
    require_may_change,
    require_own_storage,
)
from api.errors import NotMultipart, NotSteps, documented
from api.http.arrays import FILE, as_npy, form_body
from api.http.concurrency import READING_TURNS
from api.http.multipart import Form, receive_form
from api.requests import EpochEndQuery, TrainingEndQuery
from api.runs.views import run_view
from api.sandbox.reader import read_apart
from ganlib.data.archives import InvalidUpload, Limits, ReadSamples
from ganlib.data.samples import CHANNELS
from ganlib.spec.request import InvalidRequest
from ganlib.spec.watched import WatchedSpec
from ganlib.step_blocks import MEDIA_TYPE, InvalidBlock, decode
from ganlib.wire.paths import run_path
from ganlib.wire.runs import RunView
from ganlib.wire.watching import MAX_SEQUENCE, WatchRequest, WatchState
from store import uploads, watched
from store.core.db import reading, transaction
from store.core.errors import UploadNotFound
from store.core.models import Run, WatchRow
from store.files.artifacts import StoredArtifact
from store.runs import lifecycle
from store.scheduling.accounts import Caller
from store.watched import EpochEnd, Message, Received, SentSteps, TrainingEnd

NPY = "application/octet-stream"
MOST_FAKES = 10_000
LONGEST_SIDE = 1024
"""Pixels, of an image in floats or bytes: the worker draws a sheet of many in memory."""
WatchedRunId = Annotated[str, Path(description="Id of the watched run, 16 hex digits.")]
Sequence = Annotated[
    int, Path(ge=1, le=MAX_SEQUENCE, description="Number of the message within its run, from 1, without a gap.")
]
STEPS_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "`GCS1`, the length of a header as 4 bytes (little-endian), the header as JSON, "
                    '`{"names": ["errD", "errG"], "steps": 2}`, and every number as 8 bytes (little-endian), step '
                    "after step. A cell that was not sent is the not-a-number 0x7ff8000000000a15.",
                }
            }
        },
    }
}
EPOCH_FORM = form_body({"fakes": FILE}, required=())

router = APIRouter(prefix="/watched-runs", tags=["watched runs"])


@router.post(
    "",
    status_code=201,
    dependencies=[JsonBody, StorageRoom],
    responses={
        201: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **documented(400, 409, 413, 415, 422, 507),
    },
)
def create_watched_run(
    request: WatchRequest,
    session: Writer,
    caller: CallerDep,
    request_id: RequestId,
    idempotency_key: IdempotencyKey,
    response: Response,
) -> RunView:
    """Begin to watch a training that runs elsewhere. It is running when this is answered."""
    run = watched.create(session, request, owner=caller.owner, idempotency_key=idempotency_key)
    lifecycle.note_request([run], request_id)
    response.headers["Location"] = run_path(run.id)
    return run_view(run)


@router.get("/{watched_run_id}", responses=documented(404))
def get_watch_state(watched_run_id: WatchedRunId, session: Reader) -> WatchState:
    """Ask how far a watched run is: the number of its last message, and its verdict so far."""
    return _state(*watched.find(session, watched_run_id))


@router.put(
    "/{watched_run_id}/steps/{sequence}",
    openapi_extra=STEPS_BODY,
    responses=documented(400, 403, 404, 409, 413, 415, 422),
)
async def put_steps(
    watched_run_id: WatchedRunId, sequence: Sequence, request: Request, services: ServicesDep, caller: CallerDep
) -> WatchState:
    """Send the next steps. The same number again stores nothing again."""
    is_block = request.headers.get("content-type") == MEDIA_TYPE
    block = await request.body() if is_block else None
    return await run_in_threadpool(_put_steps, services, caller, watched_run_id, sequence, block)


def _put_steps(services: Services, caller: Caller, run_id: str, sequence: int, block: bytes | None) -> WatchState:
    return _state_after(_receive(services, caller, run_id, sequence, partial(_steps_of, block)))


def _steps_of(block: bytes | None) -> SentSteps:
    if block is None:
        raise NotSteps
    try:
        names, values = decode(block)
    except InvalidBlock as error:
        raise InvalidRequest({"body": str(error)}) from None
    return SentSteps(block=block, count=len(values), names=names)


@router.put(
    "/{watched_run_id}/epochs/{sequence}",
    openapi_extra=EPOCH_FORM,
    responses=documented(400, 403, 404, 409, 413, 415, 422, 507),
)
async def put_epoch(
    watched_run_id: WatchedRunId,
    sequence: Sequence,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    query: Annotated[EpochEndQuery, Query()],
) -> WatchState:
    """End an epoch, perhaps with samples of it. A worker judges it next."""
    if not request.headers.get("content-type", "").startswith("multipart/"):
        if _has_body(request):  # as of `curl -T fakes.npy`: its samples would be lost without a word
            raise NotMultipart
        return await run_in_threadpool(_put_epoch, services, caller, watched_run_id, sequence, query.seconds, None)
    await run_in_threadpool(require_own_storage, services, caller)  # only samples take room: without, the run goes on
    async with receive_form(request, services.settings.uploads, ("fakes",), ()) as form, READING_TURNS.limiter():
        return await run_in_threadpool(_put_epoch, services, caller, watched_run_id, sequence, query.seconds, form)


def _has_body(request: Request) -> bool:
    """Whether its headers say that one comes, as those of every HTTP/1.1 request with a body do."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _put_epoch(
    services: Services, caller: Caller, run_id: str, sequence: int, seconds: float, form: Form | None
) -> WatchState:
    if form is None:
        received = _receive(services, caller, run_id, sequence, lambda: EpochEnd(seconds=seconds))
    else:
        with reading(services.engine) as session:
            run, watch = watched.find(session, run_id)
            require_may_change(caller, run)
            if sequence <= watch.sequence:  # before a file is read for nothing
                return _state(run, watch)
            shape = _shape_of_reals(run, session)
        fakes = _stored(_read(form, services, shape), services)
        received = _receive(services, caller, run_id, sequence, lambda: EpochEnd(seconds=seconds, fakes=fakes))
    if received.is_queued:
        services.bell(services.settings)
    return _state_after(received)


def _shape_of_reals(run: Run, session: Reader) -> tuple[int, ...] | None:
    upload_id = WatchedSpec.model_validate(run.spec).dataset.upload
    if upload_id is None:
        return None
    try:
        return tuple(uploads.get(session, upload_id).shape)
    except UploadNotFound:
        return None


def _read(form: Form, services: Services, shape: tuple[int, ...] | None) -> ReadSamples:
    settings = services.settings
    limits = Limits(unpacked_bytes=settings.max_unpacked_bytes, scratch=settings.uploads, min_samples=1, generated=True)
    try:
        samples = read_apart(form.files["fakes"], limits)
    except InvalidUpload as error:
        raise InvalidRequest({"fakes": str(error)}) from None
    if len(samples.array) > MOST_FAKES:
        raise InvalidRequest({"fakes": f"holds {len(samples.array):,} samples; allowed: {MOST_FAKES:,}"})
    if samples.array.ndim not in (2, 4):
        raise InvalidRequest({"fakes": f"has samples of the shape {list(samples.shape)}; send images or points [n, d]"})
    if shape is not None and tuple(samples.shape) != shape:
        raise InvalidRequest({"fakes": f"has samples of the shape {list(samples.shape)}, the reals {list(shape)}"})
    if samples.array.ndim == 4 and not _can_be_drawn(*samples.shape):
        raise InvalidRequest(
            {
                "fakes": f"has images of the shape {list(samples.shape)}; send [n, channels, height, width] with 1 or "
                f"3 channels, and with 1 to {LONGEST_SIDE:,} pixels a side"
            }
        )
    return samples


def _can_be_drawn(channels: int, height: int, width: int) -> bool:
    return channels in CHANNELS and 1 <= height <= LONGEST_SIDE and 1 <= width <= LONGEST_SIDE


def _stored(samples: ReadSamples, services: Services) -> StoredArtifact:
    array = samples.array if samples.array.dtype == np.uint8 else samples.array.astype(np.float32)
    with as_npy(array, services.settings.uploads) as file:
        return services.artifacts.put_file(file, NPY)  # before the row, which may not name what is not there


@router.put("/{watched_run_id}/end/{sequence}", responses=documented(403, 404, 409, 422))
def put_end(
    watched_run_id: WatchedRunId,
    sequence: Sequence,
    services: ServicesDep,
    caller: CallerDep,
    query: Annotated[TrainingEndQuery, Query()],
) -> WatchState:
    """Say that the training has ended. The run is over once a worker has judged every epoch that was sent."""
    message = TrainingEnd(outcome=query.outcome, error=query.error)
    return _state_after(_receive(services, caller, watched_run_id, sequence, lambda: message))


def _receive(
    services: Services, caller: Caller, run_id: str, sequence: int, message: Callable[[], Message]
) -> Received:
    """What comes of the message, which is looked at only where its sender may send it."""
    with transaction(services.engine) as session:
        require_may_change(caller, lifecycle.get(session, run_id))
        return watched.receive(session, run_id, sequence, message())


def _state_after(received: Received) -> WatchState:
    return _state(received.run, received.watch)


def _state(run: Run, watch: WatchRow) -> WatchState:
    return WatchState(
        run_id=run.id,
        sequence=watch.sequence,
        status=run.status,
        cancel_requested=run.cancel_requested,
        steps=watch.steps,
        epochs_sent=watch.epochs,
        epochs_done=run.epochs_done,
        verdict=run.verdict,  # pyright: ignore[reportArgumentType]  what rules have written
        severity=run.severity,  # pyright: ignore[reportArgumentType]
    )
