"""`ganclinic events` and the client's part of it, against a service that is a function."""

import json
from io import StringIO
from itertools import islice
from typing import Any

import httpx
import pytest
from rich.console import Console

from ganclinic.cli.events import events, line_of
from ganclinic.cli.output import Output
from ganclinic.cli.parser import make_parser
from ganclinic.client import Client
from ganclinic.errors import NotFound, UnexpectedAnswer
from ganclinic.transport import Event, read_events
from ganclinic.views import EventView
from ganlib.wire.reading import read

RUN = "0123456789abcdef"
AT = "2026-12-01T09:00:00Z"


def event(number: int | None, kind: str = "epoch", **changed: Any) -> str:
    data = {"id": number, "kind": kind, "run_id": RUN, "at": AT, "a_field_of_a_newer_service": 1, **changed}
    numbered = "" if number is None else f"id: {number}\n"
    return f"{numbered}event: {kind}\ndata: {json.dumps(data)}\n\n"


def missing() -> httpx.Response:
    document = {"title": "No such run", "status": 404, "detail": "There is no run."}
    return httpx.Response(404, json=document, headers={"Content-Type": "application/problem+json"})


class Streams:
    """A service that answers each request with the next of its streams, and then with 404."""

    def __init__(self, *contents: str | httpx.TransportError) -> None:
        self._contents = list(contents)
        self.asked: list[tuple[str, list[str], str | None]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        kinds = request.url.params.get_list("kind")
        self.asked.append((request.url.path, kinds, request.headers.get("Last-Event-ID")))
        if not self._contents:
            return missing()
        content = self._contents.pop(0)
        if isinstance(content, httpx.TransportError):
            raise content
        return httpx.Response(200, text=content, headers={"Content-Type": "text/event-stream"})

    def client(self) -> Client:
        return Client("http://clinic.test", "right", httpx.MockTransport(self), lambda _: None)


def test_what_comes_after_a_broken_connection_follows_the_last_event_that_came():
    service = Streams(
        "retry: 1000\n\n: still here\n\n" + event(3, epoch=1) + event(None, "progress", step=7),
        httpx.ConnectError("gone"),
        event(4, epoch=2) + "id: 9\nevent: epoch\ndata: cut o",
        event(9, epoch=3),
    )
    heard = list(islice(service.client().events(RUN, kinds=["epoch", "progress"]), 4))
    assert [(e.id, e.kind, e.epoch, e.step) for e in heard] == [
        (3, "epoch", 1, None),
        (None, "progress", None, 7),
        (4, "epoch", 2, None),
        (9, "epoch", 3, None),
    ]
    path = f"/v1/runs/{RUN}/events"
    assert service.asked == [(path, ["epoch", "progress"], after) for after in (None, "3", "3", "4")]


def test_where_all_runs_begin_is_remembered_before_the_first_event():
    service = Streams("id: 41\n\n", event(42))
    assert [e.id for e in islice(service.client().events(), 1)] == [42]
    assert service.asked == [("/v1/events", [], None), ("/v1/events", [], "41")]


def test_where_all_runs_begin_may_be_before_the_first_event_ever():
    service = Streams("id: 0\n\n", event(None, "progress", step=1), event(1))
    heard = islice(service.client().events(kinds=["progress", "epoch"]), 2)
    assert [e.id for e in heard] == [None, 1]
    assert [after for _, _, after in service.asked] == [None, "0", "0"]


def test_a_service_that_restored_an_older_database_is_followed_from_where_it_is():
    service = Streams("id: 0\n\n" + event(1), event(2))
    assert [e.id for e in islice(service.client().events(after=41), 2)] == [1, 2]
    assert [after for _, _, after in service.asked] == ["41", "1"]


def test_a_run_that_is_deleted_ends_the_iteration():
    service = Streams(event(1))
    heard = service.client().events(RUN, after=0)
    assert next(heard).id == 1
    with pytest.raises(NotFound):
        next(heard)
    assert [after for _, _, after in service.asked] == ["0", "1"]


@pytest.mark.parametrize("data", ["no json", '{"kind": "epoch"}', "[]"])
def test_what_is_no_event_is_told_as_such(data: str):
    service = Streams(f"id: 1\nevent: epoch\ndata: {data}\n\n")
    with pytest.raises(UnexpectedAnswer, match="an event that is none"):
        next(service.client().events(batch="ba"))
    assert service.asked[0][0] == "/v1/batches/ba/events"


def test_an_id_alone_says_where_the_stream_is():
    lines = ["data: w", "", "id: 0", "", "id: 5", "", ": comment", "", "id: 6", "data: x", "", "data: y", ""]
    assert list(read_events(lines)) == [
        Event(kind="message", id=None, data="w"),
        Event(kind="", id=0, data=""),
        Event(kind="", id=5, data=""),
        Event(kind="message", id=6, data="x"),
        Event(kind="message", id=6, data="y"),
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kind": "status", "status": "running"}, "running"),
        ({"kind": "status", "status": "running", "cancel_requested": True}, "running, is to end"),
        ({"kind": "status", "status": "cancelled", "cancel_requested": True}, "cancelled"),
        ({"kind": "progress", "step": 12}, "step 12"),
        ({"kind": "epoch", "epoch": 3}, "epoch 3"),
        (
            {"kind": "finding seen", "finding": "mode collapse", "severity": "severe", "epoch": 3},
            "mode collapse, severe, seen after epoch 3",
        ),
        ({"kind": "finding over", "finding": "oscillation", "epoch": 4}, "oscillation is over after epoch 4"),
        (
            {"kind": "treatment", "treatment_id": "aa", "treatment_status": "running", "try_id": "bb"},
            "treatment aa running, tries bb",
        ),
        ({"kind": "treatment", "treatment_id": "aa", "treatment_status": "healed"}, "treatment aa healed"),
        ({"kind": "weather"}, "weather"),
    ],
)
def test_each_kind_is_one_line(changed: dict[str, Any], words: str):
    view = read(EventView, {"run_id": RUN, "at": AT, **changed})
    assert line_of(view).split(" ", 1)[1] == f"{RUN} {words}"


def shown(*options: str) -> str:
    service, out = Streams(event(1, epoch=1) + event(2, epoch=2)), StringIO()
    output = Output(results=Console(file=out), notes=Console(file=StringIO()), as_json="--json" in options)
    with pytest.raises(NotFound):
        events(service.client(), output, make_parser().parse_args(["events", RUN, *options]))
    return out.getvalue()


def test_the_verb_ends_after_as_many_as_were_asked_for():
    service, out = Streams(event(1, epoch=1) + event(2, epoch=2)), StringIO()
    output = Output(results=Console(file=out), notes=Console(file=StringIO()), as_json=False)
    assert events(service.client(), output, make_parser().parse_args(["events", "--count", "2"])) == 0
    assert len(out.getvalue().splitlines()) == 2


def test_the_verb_writes_a_line_for_each_event():
    assert [line.split(" ", 2)[2] for line in shown().splitlines()] == ["epoch 1", "epoch 2"]
    assert [json.loads(line)["epoch"] for line in shown("--json", "--kind", "epoch").splitlines()] == [1, 2]
