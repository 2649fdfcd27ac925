"""Events over HTTP: what a client hears, on both databases, and that it misses and doubles nothing."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session
from typing_extensions import override

from api import event_hub
from api import events as api_events
from api.event_hub import EVERYTHING, EventHub, Outgoing, Topic
from api.http import event_stream
from ganclinic.client import Client
from ganlib.wire.events import EventView
from ganlib.wire.reading import read
from ganlib.wire.statuses import EVENT_KINDS
from store.core.db import reading, transaction
from store.runs import batches, endings, events, leases, lifecycle, recording
from store.runs.deletion import delete_run
from store.runs.event_watch import EventWatch, Found
from store.runs.events import StoredEvent
from tests.support.api import TOKEN, Service, make_service
from tests.support.serving import Listener, served, wait_until
from tests.support.store import LEASE, claim_run, create_run, diagnosis, epoch_record, request, resolved

ALL = frozenset(EVENT_KINDS)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_hub, "KEEP_ALIVE_S", 0.2)
    monkeypatch.setattr(api_events, "SLOW_RETRY_S", 0.05)


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    with served(service) as address:
        yield address


def train(service: Service, num_epochs: int) -> str:
    """The id of a run that has succeeded, with a collapse from its second epoch on."""
    with transaction(service.engine) as session:
        claim = claim_run(session)
    for epoch in range(1, num_epochs + 1):
        found = diagnosis(epoch, **({"collapse_since": 2} if epoch > 1 else {}))
        with transaction(service.engine) as session:
            recording.record_epoch(session, epoch_record(claim, epoch, diagnosis=found))
    with transaction(service.engine) as session:
        endings.finish(session, claim.run_id, claim.token, "succeeded")
    return claim.run_id


def stored(service: Service, run_id: str | None = None) -> list[int]:
    with reading(service.engine) as session:
        return [event.position for event in events.read(session, after=0, limit=10_000, run_id=run_id)]


def test_a_client_hears_what_it_missed_and_what_comes(service: Service, url: str) -> None:
    run_id = train(service, 2)
    with Listener(f"{url}/v1/runs/{run_id}/events") as client:
        wait_until(lambda: len(client.events) == 6)
        with transaction(service.engine) as session:
            run = lifecycle.get_locked(session, run_id)
            events.note_status(session, run)
        wait_until(lambda: len(client.events) == 7)
    told = [(event.event, read(EventView, event.data)) for event in client.events]
    kinds = ["status", "status", "epoch", "epoch", "finding seen", "status", "status"]
    assert [(kind, view.kind) for kind, view in told] == [(kind, kind) for kind in kinds]
    assert [view.status for _, view in told if view.status] == ["queued", "running", "succeeded", "succeeded"]
    assert (told[4][1].finding, told[4][1].severity, told[4][1].epoch) == ("mode collapse", "severe", 2)
    assert client.ids == stored(service, run_id=run_id)
    assert client.blocks[0].text == "retry: 1000"


def test_a_client_goes_on_after_the_last_event_that_came(service: Service, url: str) -> None:
    ids = stored(service, run_id=(run_id := train(service, 3)))
    path = f"{url}/v1/runs/{run_id}/events"
    with Listener(path, after=ids[2]) as client:
        wait_until(lambda: client.ids == ids[3:])
    with Listener(path, query=f"?after={ids[1]}&kind=epoch") as client:
        wait_until(lambda: len(client.events) == 3)
        assert {event.event for event in client.events} == {"epoch"}


def test_all_runs_are_heard_from_now_on_and_a_batch_from_its_beginning(service: Service, url: str) -> None:
    train(service, 1)
    with transaction(service.engine) as session:
        batch = batches.create_batch(session, resolved(request(seed=1), request(seed=2)))
        ids = [run.id for run in batch.runs]
    with Listener(f"{url}/v1/events") as everything, Listener(f"{url}/v1/batches/{batch.id}/events") as of_batch:
        wait_until(lambda: len(of_batch.events) == 2)
        wait_until(lambda: everything.blocks[-1].id is not None or len(everything.blocks) > 1)
        with transaction(service.engine) as session:
            other = lifecycle.create(session, request("x"), request("x").resolve()).id
        with transaction(service.engine) as session:
            lifecycle.cancel(session, ids[0])
        wait_until(lambda: len(of_batch.events) == 3)
        wait_until(lambda: len(everything.events) == 2)
    assert [event.data["run_id"] for event in of_batch.events if event.data] == [*ids, ids[0]]
    assert [event.data["run_id"] for event in everything.events if event.data] == [other, ids[0]]
    assert {event.data["batch_id"] for event in of_batch.events if event.data} == {batch.id}
    first = next(block for block in everything.blocks if block.id is not None)
    assert first.data is None  # where it begins, should the connection break before the first event
    with Listener(f"{url}/v1/events", after=int(first.id or 0)) as again:
        wait_until(lambda: again.ids == everything.ids)


def test_clients_that_come_and_go_beside_writers_miss_and_double_nothing(service: Service, url: str) -> None:
    """Writers commit out of order; each client leaves again and again and goes on after its last id."""
    writers, rounds = 4, 20
    with transaction(service.engine) as session:
        batch = batches.create_batch(session, resolved(*(request(seed=seed) for seed in range(writers))))
        ids = [run.id for run in batch.runs]
        begin = events.last_position(session)
    is_over = threading.Event()

    def write(number: int) -> None:
        rng = np.random.default_rng(number)
        for _ in range(rounds):
            with transaction(service.engine) as session:
                run = lifecycle.get_locked(session, ids[number])
                events.note_status(session, run)
                session.flush()
                threading.Event().wait(float(rng.exponential(0.01)))
            threading.Event().wait(float(rng.exponential(0.02)))

    def follow(path: str, seed: int) -> list[int]:
        rng, heard = np.random.default_rng(seed), [begin]
        while True:
            was_over = is_over.is_set()
            with Listener(url + path, after=heard[-1]) as client:
                enough = int(rng.integers(1, 15))
                deadline = threading.Event()
                timer = threading.Timer(1.0, deadline.set)
                timer.start()
                wait_until(lambda: len(client.ids) >= enough or deadline.is_set())  # noqa: B023
                timer.cancel()
            heard += client.ids
            if was_over and not client.ids:
                return heard[1:]

    paths = [f"/v1/runs/{ids[0]}/events", f"/v1/batches/{batch.id}/events", "/v1/events"]
    with ThreadPoolExecutor(writers + len(paths)) as pool:
        clients = [pool.submit(follow, path, seed) for seed, path in enumerate(paths)]
        for done in [pool.submit(write, number) for number in range(writers)]:
            done.result()
        is_over.set()
        of_run, of_batch, of_all = (client.result() for client in clients)
    whole = [position for position in stored(service) if position > begin]
    assert len(whole) == writers * rounds
    assert of_all == of_batch == whole
    assert of_run == [position for position in stored(service, run_id=ids[0]) if position > begin]


def test_progress_is_heard_without_an_id_and_of_all_runs_only_where_it_is_wanted(service: Service, url: str) -> None:
    with transaction(service.engine) as session:
        claim = claim_run(session)
    with (
        Listener(f"{url}/v1/runs/{claim.run_id}/events") as client,
        Listener(f"{url}/v1/events") as everything,
        Listener(f"{url}/v1/events?kind=progress") as progress,
    ):
        for step in (7, 9):
            with transaction(service.engine) as session:
                leases.renew(session, claim.run_id, claim.token, LEASE, step=step)
            for each in (client, progress):
                wait_until(lambda: each.events[-1:] != [] and (each.events[-1].data or {}).get("step") == step)  # noqa: B023
    told = client.events[-1]
    assert (told.id, told.event) == (None, "progress")
    assert told.data is not None
    assert told.data.keys() == {"kind", "run_id", "at", "epoch", "step"}
    assert everything.events == []
    assert {event.event for event in progress.events} == {"progress"}


def test_a_stream_ends_when_its_run_is_deleted(service: Service, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_hub, "GONE_S", 0.1)
    run_id = train(service, 1)
    with Listener(f"{url}/v1/runs/{run_id}/events") as client:
        wait_until(lambda: len(client.events) == 4)
        with transaction(service.engine) as session:
            delete_run(session, run_id)
        wait_until(lambda: client.has_ended)
    assert service.client.get(f"/v1/runs/{run_id}/events").status_code == 404


def test_many_clients_cost_the_database_what_one_does(sqlite_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [0]
    look = EventWatch.look

    def counted(self: EventWatch, session: Session) -> Found:
        looks[0] += 1
        return look(self, session)

    monkeypatch.setattr(EventWatch, "look", counted)
    run_id = train(sqlite_service, 1)
    with served(sqlite_service) as url:
        with ExitStack() as clients:
            all_of_them = [clients.enter_context(Listener(f"{url}/v1/runs/{run_id}/events")) for _ in range(30)]
            wait_until(lambda: all(len(client.events) == 4 for client in all_of_them))
            looks[0] = 0
            threading.Event().wait(1.0)
            assert 0 < looks[0] < 15  # ten a second
        wait_until(lambda: not sqlite_service.engine.pool.checkedout())  # pyright: ignore[reportAttributeAccessIssue]

        def nobody_looks() -> bool:
            looks[0] = 0
            threading.Event().wait(0.5)
            return looks[0] == 0

        wait_until(nobody_looks)  # as nobody listens


def test_events_go_on_after_the_database_has_cut_every_connection(postgres_engine: Engine, tmp_path: Path) -> None:
    service = make_service(postgres_engine, tmp_path)
    kill = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    run_id = train(service, 1)
    with served(service) as url, Listener(f"{url}/v1/runs/{run_id}/events") as client:
        wait_until(lambda: len(client.events) == 4)
        with service.engine.connect() as connection:
            connection.execute(kill)
        with transaction(service.engine) as session:
            events.note_status(session, lifecycle.get_locked(session, run_id))
        wait_until(lambda: len(client.events) == 5)
    assert client.ids == stored(service, run_id=run_id)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/runs/{}/events"])
def test_a_stream_ends_when_nobody_looks_any_more(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Nobody looked yet when the first client came; the second and third were told all so far."""
    path = path.format(train(sqlite_service, 1))
    may_fail = threading.Event()
    look = EventWatch.look

    def fail(self: EventWatch, session: Session) -> Found:
        if may_fail.is_set():
            raise RuntimeError("no more looks")
        return look(self, session)

    monkeypatch.setattr(EventWatch, "look", fail)
    with served(sqlite_service) as url:
        may_fail.set()
        with Listener(url + path) as early:
            wait_until(lambda: early.has_ended)
        assert all(block.id is None for block in early.blocks)  # it has nothing to go on from
        may_fail.clear()
        with Listener(url + path, after=0) as client, Listener(url + path) as other:
            wait_until(lambda: len(client.events) == 4)
            may_fail.set()
            wait_until(lambda: client.has_ended and other.has_ended)
        may_fail.clear()
        with Listener(url + path, after=client.ids[1]) as again:
            wait_until(lambda: again.ids == client.ids[2:])


def test_a_client_that_reads_what_it_missed_is_let_go_when_nobody_looks_any_more(sqlite_service: Service) -> None:
    async def end() -> list[bytes]:
        hub = EventHub(sqlite_service.engine)
        stream = api_events._follow(hub, EVERYTHING, 0, ALL)
        begun = await anext(stream)
        subscription = next(iter(hub._subscriptions[EVERYTHING]))
        subscription.end()
        subscription.begin_anew()
        with anyio.fail_after(5):
            return [begun] + [content async for content in stream]

    assert anyio.run(end) == [b"retry: 1000\n\n", b"retry: 50\n\n"]


def event_of(position: int) -> Outgoing:
    return Outgoing(position=position, kind="status", content=b"")


def test_a_client_that_does_not_keep_up_is_let_go_with_bounded_memory(sqlite_service: Service) -> None:
    async def overflow() -> tuple[int, bool, int]:
        hub = EventHub(sqlite_service.engine)
        async with hub.subscribe(EVERYTHING, ALL) as slow, hub.subscribe(EVERYTHING, ALL) as fast:
            heard = 0
            for position in range(3 * event_hub.MOST_KEPT):
                hub._offer(EVERYTHING, event_of(position))
                heard += len(await fast.take())
            return len(await slow.take()), slow.is_lost, heard

    assert anyio.run(overflow) == (event_hub.MOST_KEPT, True, 3 * event_hub.MOST_KEPT)


def test_a_client_that_takes_its_events_loses_none_however_many_come_at_once(service: Service, url: str) -> None:
    many = 2 * event_hub.MOST_KEPT + 500
    run_id = train(service, 1)
    with Listener(f"{url}/v1/runs/{run_id}/events") as of_run, Listener(f"{url}/v1/events") as of_all:
        wait_until(lambda: len(of_run.events) == 4)
        wait_until(lambda: any(block.id is not None for block in of_all.blocks))
        with transaction(service.engine) as session:
            events.note_status(session, *[lifecycle.get_locked(session, run_id)] * many)
        wait_until(lambda: len(of_run.events) == many + 4 or of_run.has_ended)
        wait_until(lambda: len(of_all.events) == many or of_all.has_ended)
    assert of_run.ids == stored(service, run_id=run_id)
    assert of_all.ids == of_run.ids[4:]


class IdleHub(EventHub):
    """Looks for nothing."""

    @override
    def _begin(self) -> None:
        pass


def found_at_once(count: int) -> Found:
    """What a look finds, of a batch, once the transaction is over that all were waiting for."""
    of = {"run_id": "a" * 16, "batch_id": "b" * 16, "of": "training", "kind": "status", "changed": {}, "at": 0}
    events = [StoredEvent(position=position, **of) for position in range(1, count + 1)]  # pyright: ignore[reportArgumentType]
    return Found(events=events, complete=count, is_all=True)


@pytest.mark.parametrize("topic", [EVERYTHING, Topic("batch", "b" * 16), Topic("run", "a" * 16)])
def test_a_client_that_takes_its_events_is_not_let_go_for_what_is_complete_at_once(
    sqlite_service: Service, topic: Topic
) -> None:
    many = 3 * event_hub.MOST_KEPT

    async def take() -> list[int | None]:
        hub = IdleHub(sqlite_service.engine)
        taken: list[int | None] = []
        async with hub.subscribe(topic, ALL) as subscription:
            handing = asyncio.create_task(hub._hand_out(found_at_once(many)))
            while len(taken) < many and not subscription.is_lost:
                taken += [event.position for event in await subscription.take()]
            await handing
        return taken

    assert anyio.run(take) == list(range(1, many + 1))


def test_who_comes_while_events_are_handed_out_is_not_told_that_more_is_complete_than_was(
    sqlite_service: Service,
) -> None:
    """It reads up to `complete`, and is handed whatever lies above it."""

    many = 2 * event_hub.SLICE + 1

    async def begin() -> tuple[int | None, list[int | None]]:
        hub = IdleHub(sqlite_service.engine)
        async with hub.subscribe(EVERYTHING, ALL) as subscription:
            handing = asyncio.create_task(hub._hand_out(found_at_once(many)))
            while hub.complete is None:
                await asyncio.sleep(0)
            subscription.begin_anew()
            complete = hub.complete
            await handing
            return complete, [event.position for event in await subscription.take()]

    complete, handed = anyio.run(begin)
    assert complete == event_hub.SLICE
    assert handed == list(range(event_hub.SLICE + 1, many + 1))


def test_a_client_that_is_let_go_is_told_when_to_come_again(
    service: Service, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = train(service, 1)
    with Listener(f"{url}/v1/runs/{run_id}/events") as client:
        wait_until(lambda: len(client.events) == 4)
        monkeypatch.setattr(event_hub, "MOST_KEPT", 0)
        with transaction(service.engine) as session:
            events.note_status(session, lifecycle.get_locked(session, run_id))
        wait_until(lambda: client.has_ended)
    assert client.blocks[-1].text == "retry: 50"
    assert len(client.events) == 4
    monkeypatch.undo()
    with Listener(f"{url}/v1/runs/{run_id}/events", after=client.ids[-1]) as again:
        wait_until(lambda: len(again.events) == 1)


def test_a_client_that_takes_nothing_loses_its_place(sqlite_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "STUCK_S", 0.3)
    monkeypatch.setattr(event_hub, "MOST_STREAMS", 1)
    run_id = train(sqlite_service, 1)
    with served(sqlite_service) as url, socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        stuck.sendall(f"GET /v1/events HTTP/1.1\r\nHost: testserver\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert stuck.recv(100).startswith(b"HTTP/1.1 200")
        headers = {"Authorization": f"Bearer {TOKEN}", "Host": "testserver"}

        def is_taken() -> bool:
            """Whether a second client is refused, while the first is sent what it does not take."""
            with transaction(sqlite_service.engine) as session:
                run = lifecycle.get_locked(session, run_id)
                events.note_status(session, *[run] * 500)
            with httpx.stream("GET", f"{url}/v1/events", headers=headers, trust_env=False) as answer:
                return answer.status_code == 503

        assert is_taken()
        wait_until(lambda: not is_taken())


def test_more_clients_than_a_process_takes_are_refused_with_a_time(
    service: Service, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_hub, "MOST_STREAMS", 1)
    with Listener(f"{url}/v1/events"):
        answer = httpx.get(
            f"{url}/v1/events",
            headers={"Authorization": f"Bearer {TOKEN}", "Host": "testserver"},
            trust_env=False,
        )
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "urn:ganclinic:problem:too-many-streams"


@pytest.mark.parametrize("path", ["/v1/events?kind=gossip", "/v1/events?after=-1", "/v1/events?since=3"])
def test_what_cannot_be_heard_is_refused(service: Service, path: str) -> None:
    assert service.client.get(path).status_code == 422


def test_only_who_may_read_hears_anything(service: Service) -> None:
    with transaction(service.engine) as session:
        run_id = create_run(session).id
    for path in ("/v1/events", f"/v1/runs/{run_id}/events", f"/v1/batches/{'a' * 16}/events"):
        assert service.anonymous.get(path).status_code == 401
    for path in (f"/v1/runs/{'a' * 16}/events", f"/v1/batches/{'a' * 16}/events"):
        assert service.client.get(path).status_code == 404
    headers = {"Last-Event-ID": "one"}
    assert service.client.get(f"/v1/runs/{run_id}/events", headers=headers).status_code == 422


def test_the_client_goes_on_through_a_restart_of_the_service(service: Service) -> None:
    run_id = train(service, 2)
    heard: list[int | None] = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served(service, port) as url:
        client = Client(url, TOKEN)
        events_of_run = client.events(run_id, kinds=["epoch", "status"])
        heard += [next(events_of_run).id for _ in range(4)]
    with transaction(service.engine) as session:
        events.note_status(session, lifecycle.get_locked(session, run_id))
    with served(service, port):
        heard += [next(events_of_run).id for _ in range(2)]
        client.close()
    with reading(service.engine) as session:
        kinds = ("epoch", "status")
        assert heard == [e.position for e in events.read(session, after=0, limit=99, run_id=run_id, kinds=kinds)]
