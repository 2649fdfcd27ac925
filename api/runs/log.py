"""What a run's training processes log: as it is, and as it grows."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from api.deps import Reader, RunId, Services, ServicesDep
from api.errors import NotRecorded, documented
from api.http.concurrency import LOOK_TURNS
from api.http.event_stream import EVENT_STREAM, KEEP_ALIVE_S, event_schema
from store.core import db
from store.core.errors import DatabaseUnavailable
from store.core.models import Attempt
from store.runs import lifecycle, logs
from store.runs.logs import LogPart, last_lines, readable, whole_lines

MAX_TAIL = 100_000
POLL_INTERVAL_S = 1.0
LAST_WORDS_S = 3.0
"""How long after the end of an attempt its worker may take to store its last lines."""

AttemptNumber = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="By default the last attempt.")]

router = APIRouter(prefix="/runs/{run_id}", tags=["runs"])


@router.get(
    "/log",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented(404, 422)},
)
def get_log(
    run_id: RunId,
    session: Reader,
    attempt: AttemptNumber = None,
    tail: Annotated[int | None, Query(ge=1, le=MAX_TAIL, description="Only so many lines, the last.")] = None,
) -> Response:
    """Read the newest part of what an attempt has logged, fit for a terminal.

    The headers `X-Log-Attempt` and `X-Log-End` say of which attempt, and up to which byte.
    """
    lifecycle.get(session, run_id)
    chosen = _choose(lifecycle.attempts(session, run_id), attempt)
    part = logs.read(session, run_id, chosen.number)
    if chosen.ended_at is None:
        part = whole_lines(part)
    shown = part if tail is None else last_lines(part, tail)
    headers = {"X-Log-Attempt": str(chosen.number), "X-Log-End": str(part.end), "X-Content-Type-Options": "nosniff"}
    return Response(readable(shown.content), headers=headers, media_type="text/plain; charset=utf-8")


def _choose(attempts: list[Attempt], number: int | None) -> Attempt:
    """The attempt of that number, or the last.

    Raises:
        NotRecorded: there is none.
    """
    found = [attempt for attempt in attempts if number in (None, attempt.number)]
    if not found:
        raise NotRecorded("attempt" if number is None else f"attempt {number}")
    return found[-1]


@router.get(
    "/log/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {EVENT_STREAM: {"schema": event_schema({"type": "string"})}}}, **documented(404, 422)},
)
def follow_log(
    run_id: RunId,
    session: Reader,
    services: ServicesDep,
    attempt: AttemptNumber = None,
    last_event_id: Annotated[
        int, Header(ge=0, le=2**62, description="Begin after so many bytes: the id of the last event that came.")
    ] = 0,
) -> StreamingResponse:
    """Follow what an attempt logs, as server-sent events.

    The data of an event are lines, its id is the number of bytes up to their end. When the attempt has ended, the last
    event is of type `end`, with its outcome.
    """
    lifecycle.get(session, run_id)
    chosen = _choose(lifecycle.attempts(session, run_id), attempt)
    events = _events(services, run_id, chosen.number, last_event_id)
    return StreamingResponse(events, media_type=EVENT_STREAM, headers={"Cache-Control": "no-store"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    part: LogPart
    outcome: str
    is_complete: bool
    """Whether nothing more will come."""


def _look(services: Services, run_id: str, number: int, after: int) -> _Look:
    with db.reading(services.engine) as session:
        attempt = _choose(lifecycle.attempts(session, run_id), number)
        part = logs.read(session, run_id, number, after)
        is_complete = attempt.ended_at is not None and db.clock(session) - attempt.ended_at >= LAST_WORDS_S
    return _Look(part=part, outcome=attempt.outcome, is_complete=is_complete)


async def _events(services: Services, run_id: str, number: int, after: int) -> AsyncIterator[str]:
    sent_at = time.monotonic()
    while True:
        try:
            look = await run_sync(_look, services, run_id, number, after, limiter=LOOK_TURNS.limiter())
        except DatabaseUnavailable:  # it may come back; until then there is nothing to say
            look = None
        now = time.monotonic()
        if look is not None:
            part = look.part if look.is_complete else whole_lines(look.part)
            if part.content:
                after, sent_at = part.end, now
                yield _event(readable(part.content), part.end)
            if look.is_complete:
                yield f"event: end\nid: {after}\ndata: {look.outcome}\n\n"
                return
        if now - sent_at >= KEEP_ALIVE_S:
            sent_at = now
            yield ": still here\n\n"
        await anyio.sleep(POLL_INTERVAL_S)


def _event(text: str, end: int) -> str:
    lines = "".join(f"data: {line}\n" for line in text.removesuffix("\n").split("\n"))
    return f"id: {end}\n{lines}\n"
