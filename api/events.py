"""Events of a run, of a batch's runs or of all runs, as server-sent events: first what was missed, then what comes."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import StreamingResponse

from api.deps import Reader, RunId, ServicesDep
from api.errors import documented
from api.event_hub import EVERYTHING, EventHub, Outgoing, Subscription, Topic, hub_of
from api.http.concurrency import LOOK_TURNS
from api.http.event_stream import EVENT_STREAM, KEEP_ALIVE_S, STILL_HERE, EventStream, event_schema, retry_in
from api.requests import MAX_EVENT, EventQuery
from ganlib.wire.statuses import EVENT_KINDS, EventKind
from store.core.db import reading
from store.core.errors import DatabaseUnavailable
from store.runs import batches, events, lifecycle

PAGE = 500
"""Stored events that are read at once."""
RETRY_S = 1.0
"""After how long a client comes again whose connection broke."""
SLOW_RETRY_S = 5.0
"""The same of one that could not keep up."""
ALL_BUT_PROGRESS: frozenset[EventKind] = frozenset(EVENT_KINDS) - {"progress"}

LastEventId = Annotated[
    int | None, Header(ge=0, le=MAX_EVENT, description="Id of the last event that came: begin after it.")
]


async def get_hub(services: ServicesDep) -> EventHub:
    """The hub of this process, where it has room for one client more."""
    hub = hub_of(services.engine)
    hub.require_room()
    return hub


Hub = Annotated[EventHub, Depends(get_hub)]

router = APIRouter(tags=["events"])


def _streams(*problems: int) -> dict[int | str, dict[str, Any]]:
    view = {"$ref": "#/components/schemas/EventView"}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": view}
    schema = event_schema(data)
    return {200: {"content": {EVENT_STREAM: {"schema": schema}}}, **documented(*problems)}


@router.get("/runs/{run_id}/events", response_class=StreamingResponse, responses=_streams(404, 422))
def follow_run(
    run_id: RunId,
    session: Reader,
    hub: Hub,
    query: Annotated[EventQuery, Query()],
    last_event_id: LastEventId = None,
) -> EventStream:
    """Hear what changes in a run, as server-sent events; it goes on until you go, or the run is deleted.

    The data of each is an EventView.
    """
    lifecycle.get(session, run_id)
    return _stream(hub, Topic("run", run_id), query, last_event_id, frozenset(EVENT_KINDS), first=0)


@router.get("/batches/{batch_id}/events", response_class=StreamingResponse, responses=_streams(404, 422))
def follow_batch(
    batch_id: Annotated[str, Path(description="Id of the batch, 16 hex digits.")],
    session: Reader,
    hub: Hub,
    query: Annotated[EventQuery, Query()],
    last_event_id: LastEventId = None,
) -> EventStream:
    """Hear what changes in the runs of a batch, as server-sent events."""
    batches.require(session, batch_id)
    return _stream(hub, Topic("batch", batch_id), query, last_event_id, frozenset(EVENT_KINDS), first=0)


@router.get("/events", response_class=StreamingResponse, responses=_streams(422))
def follow_everything(
    hub: Hub, query: Annotated[EventQuery, Query()], last_event_id: LastEventId = None
) -> EventStream:
    """Hear what changes in any run, as server-sent events."""
    return _stream(hub, EVERYTHING, query, last_event_id, ALL_BUT_PROGRESS, first=None)


def _stream(
    hub: EventHub,
    topic: Topic,
    query: EventQuery,
    last_event_id: int | None,
    kinds: frozenset[EventKind],
    *,
    first: int | None,
) -> EventStream:
    after = query.after if last_event_id is None else last_event_id
    wanted = frozenset(query.kind) or kinds
    return EventStream(_follow(hub, topic, first if after is None else after, wanted))


async def _follow(hub: EventHub, topic: Topic, after: int | None, kinds: frozenset[EventKind]) -> AsyncGenerator[bytes]:
    """The events behind a position, or those to come, for as long as the client keeps up."""
    async with hub.subscribe(topic, kinds) as subscription:
        yield retry_in(RETRY_S)
        while not subscription.is_over and not await hub.has_begun(KEEP_ALIVE_S):
            yield STILL_HERE
        if after is None and not subscription.is_over:
            after = hub.complete or 0
            yield f"id: {after}\n\n".encode()  # is remembered as the last one, and is no event
        if after is not None:
            follower = _Follower(hub=hub, topic=topic, kinds=kinds, after=after)
            async for content in follower.missed(subscription):
                yield content
            while not subscription.is_lost and not subscription.is_over:
                if content := follower.new_of(await subscription.take()):
                    yield content
        yield retry_in(SLOW_RETRY_S)


@dataclass(slots=True, kw_only=True)
class _Follower:
    """How far a client has come."""

    hub: EventHub
    topic: Topic
    kinds: frozenset[EventKind]
    after: int

    async def missed(self, subscription: Subscription) -> AsyncIterator[bytes]:
        """What is stored behind the position, until all that comes later is kept by the subscription."""
        is_all = False
        while not is_all and not subscription.is_over:
            subscription.begin_anew()  # before the look: what it does not see is kept from here on
            # Of one run all that is there is in order; of several only what is complete.
            up_to = None if self.topic.of == "run" else self.hub.complete
            try:
                found = await run_sync(self._read, up_to, limiter=LOOK_TURNS.limiter())
            except DatabaseUnavailable:  # it may come back; until then there is nothing to say
                yield STILL_HERE
                await anyio.sleep(RETRY_S)
                continue
            is_all = len(found) < PAGE and not subscription.is_lost
            if content := self.new_of(found):
                yield content

    def _read(self, up_to: int | None) -> list[Outgoing]:
        with reading(self.hub.engine) as session:
            # An id that was never given is of a database that was restored: later events will have lower ones.
            self.after = min(self.after, events.last_position(session))
            found = events.read(
                session,
                after=self.after,
                up_to=up_to,
                limit=PAGE,
                run_id=self.topic.id if self.topic.of == "run" else None,
                batch_id=self.topic.id if self.topic.of == "batch" else None,
                kinds=sorted(self.kinds),
            )
        return [Outgoing.of(stored) for stored in found]

    def new_of(self, found: list[Outgoing]) -> bytes:
        """What of it the client has not had."""
        new = [event for event in found if event.position is None or event.position > self.after]
        self.after = max((event.position for event in new if event.position is not None), default=self.after)
        return b"".join(event.content for event in new)
