"""Events for every client of this process: one task looks for what is new, and hands it to those who wait for it.

It runs while there is a client. A client that comes later, or again, reads what it missed from the database first (see
`api.events`), while what is new is kept for it: nothing falls between the two.
"""

import asyncio
import logging
import time
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Literal

from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync
from sqlalchemy import Engine, select

from api.errors import TooManyStreams
from api.http.concurrency import WATCH_TURNS
from api.http.event_stream import KEEP_ALIVE_S, STILL_HERE
from api.views import utc
from ganlib.wire.events import EventView
from ganlib.wire.statuses import EventKind
from store.core.db import now, reading
from store.core.errors import DatabaseUnavailable
from store.core.models import Run
from store.core.news import news_of
from store.runs.event_watch import EventWatch, Found
from store.runs.events import StoredEvent

MOST_STREAMS = 2000
"""Clients of a process that are sent events at once."""
MOST_KEPT = 1000
"""Events that are kept for a client which is slower than they come."""
SLICE = 200
"""Events that are handed out before clients have the time to take them: fewer than are kept."""
MOST_INCOMPLETE = 20_000
"""Events that are kept until every one before them is there."""
LOOK_AGAIN_S = 1.0
"""How long after a look the next one is due where nobody says that there is news."""
INCOMPLETE_S = 0.02
"""How long after a look at which an event may have been missing."""
PROGRESS_S = 1.0  # workers report a step every second
GONE_S = 15.0
"""How often is looked whether runs that clients wait for were deleted."""
RETRY_S = 1.0
"""How long a database that does not answer is left alone."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Topic:
    """What a client wants to hear of: a run, the runs of a batch, or all."""

    of: Literal["run", "batch", "all"]
    id: str = ""


EVERYTHING = Topic("all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """An event as it is sent, to whoever wants it."""

    position: int | None
    kind: EventKind | None
    """None: no event, for every client."""
    content: bytes

    @classmethod
    def of(cls, stored: StoredEvent) -> "Outgoing":
        """A stored one."""
        view = EventView(
            id=stored.position,
            kind=stored.kind,
            run_id=stored.run_id,
            batch_id=stored.batch_id,
            at=utc(stored.at),
            **stored.changed,
        )
        return cls(position=stored.position, kind=stored.kind, content=_encode(view))


def _encode(view: EventView) -> bytes:
    number = "" if view.id is None else f"id: {view.id}\n"
    return f"{number}event: {view.kind}\ndata: {view.model_dump_json(exclude_none=True)}\n\n".encode()


ALIVE = Outgoing(position=None, kind=None, content=STILL_HERE)


class Subscription:
    """What is new for one client, until it takes it."""

    def __init__(self, kinds: frozenset[EventKind]) -> None:
        self._kinds = kinds
        self._kept: deque[Outgoing] = deque()
        self._changed = asyncio.Event()
        self.is_lost = False
        """Whether something was left out, for it was too much: the client has to come again, or read it elsewhere."""
        self.is_over = False
        """Whether nothing comes any more, for the run is gone or nobody looks: the client has to come again."""

    def offer(self, event: Outgoing) -> None:
        """Keeps it, where it is of a kind that the client wants."""
        if event.kind is not None and event.kind not in self._kinds:
            return
        if len(self._kept) >= MOST_KEPT:
            self.is_lost = True
        elif not self.is_lost:
            self._kept.append(event)
        self._changed.set()

    def end(self) -> None:
        """Lets the client go, wherever it is."""
        self.is_over = True
        self._changed.set()

    def begin_anew(self) -> None:
        """Forgets what is kept, which will be read from the database, and whether it was too much."""
        self._kept.clear()
        self._changed.clear()
        self.is_lost = False

    async def take(self) -> list[Outgoing]:
        """What is kept, as soon as there is something; it may be nothing where the client is lost or all is over."""
        await self._changed.wait()
        taken = list(self._kept)
        self._kept.clear()
        if not self.is_lost and not self.is_over:
            self._changed.clear()
        return taken


class EventHub:
    """Hands new events to the clients of one event loop."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._subscriptions: defaultdict[Topic, set[Subscription]] = defaultdict(set)
        self._count = 0
        self._task: asyncio.Task[None] | None = None
        self._began = asyncio.Event()
        self._incomplete: list[tuple[int, Outgoing, Topic | None]] = []
        """Events above `complete`, each with its position and the batch that it is of."""
        self._steps: dict[str, tuple[int, int]] = {}
        self.complete: int | None = None
        """Over all runs, no event appears any more at or below this position, and none above it was handed out."""

    def require_room(self) -> None:
        """Returns where one client more may be sent events.

        Raises:
            TooManyStreams: this process has enough.
        """
        if self._count >= MOST_STREAMS:
            raise TooManyStreams(MOST_STREAMS)

    @asynccontextmanager
    async def subscribe(self, topic: Topic, kinds: frozenset[EventKind]) -> AsyncIterator[Subscription]:
        """What is new of that topic from now on."""
        subscription = Subscription(kinds)
        self._subscriptions[topic].add(subscription)
        self._count += 1
        if self._task is None:
            self._begin()
        try:
            yield subscription
        finally:
            self._subscriptions[topic].discard(subscription)
            if not self._subscriptions[topic]:
                del self._subscriptions[topic]
            self._count -= 1
            if self._count == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    async def has_begun(self, longest_s: float) -> bool:
        """Whether what is new is known, or never will be, after waiting so long for it."""
        try:
            async with asyncio.timeout(longest_s):
                await self._began.wait()
        except TimeoutError:
            return False
        return True

    def _begin(self) -> None:
        self._began.clear()
        self.complete, self._incomplete, self._steps = None, [], {}
        # In a context of its own: what it logs is of no one request.
        self._task = asyncio.create_task(self._look_again_and_again(), context=Context())
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        """Lets the clients go where the task has ended though there are some."""
        if not task.cancelled():
            logger.error("stopped handing out events; clients have to come again", exc_info=task.exception())
        if self._task is task:
            self._task = None
            self._let_go(list(self._subscriptions))
            self._began.set()  # for those that wait for it: it never comes

    def _let_go(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            for subscription in self._subscriptions.get(topic, ()):
                subscription.end()

    async def _look_again_and_again(self) -> None:
        watch = EventWatch()
        progress_at = gone_at = keep_alive_at = time.monotonic()
        async with news_of(self.engine) as news:
            while True:
                if time.monotonic() >= keep_alive_at:
                    keep_alive_at = time.monotonic() + KEEP_ALIVE_S
                    for topic in self._subscriptions:
                        self._offer(topic, ALIVE)
                try:
                    found = await run_sync(self._look, watch, limiter=WATCH_TURNS.limiter())
                    await self._hand_out(found)
                    looked_at = time.monotonic()
                    if looked_at >= progress_at:
                        progress_at = looked_at + PROGRESS_S
                        self._hand_out_progress(await run_sync(self._progress, limiter=WATCH_TURNS.limiter()))
                    if looked_at >= gone_at:
                        gone_at = looked_at + GONE_S
                        named = [topic for topic in self._subscriptions if topic.of == "run"]
                        self._let_go(await run_sync(self._gone, named, limiter=WATCH_TURNS.limiter()))
                except DatabaseUnavailable as error:
                    logger.warning("new events cannot be looked for: %s", error)
                    await asyncio.sleep(RETRY_S)
                    continue
                if found.is_all:
                    is_complete = self.complete is not None and not self._incomplete
                    await news.wait(min(LOOK_AGAIN_S, progress_at - looked_at) if is_complete else INCOMPLETE_S)

    def _look(self, watch: EventWatch) -> Found:
        with reading(self.engine) as session:
            return watch.look(session)

    async def _hand_out(self, found: Found) -> None:
        for number, stored in enumerate(found.events, 1):
            if stored.of == "training":
                event = Outgoing.of(stored)
                self._offer(Topic("run", stored.run_id), event)
                batch = None if stored.batch_id is None else Topic("batch", stored.batch_id)
                self._incomplete.append((stored.position, event, batch))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        if found.complete is None:
            return
        self._incomplete.sort(key=lambda each: each[0])  # those that came late
        count = bisect_right(self._incomplete, found.complete, key=lambda each: each[0])
        complete, self._incomplete = self._incomplete[:count], self._incomplete[count:]
        if len(self._incomplete) > MOST_INCOMPLETE:
            raise RuntimeError(f"a transaction has been open while {len(self._incomplete)} events came")
        for number, (position, event, batch) in enumerate(complete, 1):
            self._offer(EVERYTHING, event)
            if batch is not None:
                self._offer(batch, event)
            if number % SLICE == 0:
                self.complete = position  # a client that begins now reads up to here, and is handed what follows
                await asyncio.sleep(0)
        self.complete = found.complete
        self._began.set()

    def _offer(self, topic: Topic, event: Outgoing) -> None:
        for subscription in self._subscriptions.get(topic, ()):
            subscription.offer(event)

    def _progress(self) -> list[tuple[str, str | None, int, int, float]]:
        """Of the running trainings: id, batch, step, epochs, the time."""
        query = select(Run.id, Run.batch_id, Run.step, Run.epochs_done, now())
        with reading(self.engine) as session:
            rows = session.execute(query.where(Run.status == "running", Run.kind == "training"))
            return [(run_id, batch_id, step, epochs, at) for run_id, batch_id, step, epochs, at in rows]

    def _hand_out_progress(self, rows: list[tuple[str, str | None, int, int, float]]) -> None:
        """Once a second at most; that is no stored event, and has no id."""
        before, self._steps = self._steps, {row[0]: (row[2], row[3]) for row in rows}
        for run_id, batch_id, step, epochs, at in rows:
            topics = [Topic("run", run_id), EVERYTHING, *([] if batch_id is None else [Topic("batch", batch_id)])]
            if before.get(run_id) == (step, epochs) or not any(topic in self._subscriptions for topic in topics):
                continue
            view = EventView(
                kind="progress", run_id=run_id, batch_id=batch_id, at=utc(at), step=max(step, 0), epoch=epochs
            )
            event = Outgoing(position=None, kind="progress", content=_encode(view))
            for topic in topics:
                self._offer(topic, event)

    def _gone(self, topics: list[Topic]) -> list[Topic]:
        """Those of runs that were deleted."""
        with reading(self.engine) as session:
            there = set[str]()
            for first in range(0, len(topics), 500):
                some = [topic.id for topic in topics[first : first + 500]]
                there.update(session.scalars(select(Run.id).where(Run.id.in_(some))))
        return [topic for topic in topics if topic.id not in there]


_HUBS: RunVar[EventHub] = RunVar("event hub")


def hub_of(engine: Engine) -> EventHub:
    """The hub of the event loop that runs now: a process of the service has one, and so has each test."""
    try:
        return _HUBS.get()
    except LookupError:
        hub = EventHub(engine)
        _HUBS.set(hub)
        return hub
