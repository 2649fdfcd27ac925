"""`ganclinic logs` and the client's part of it, against a service that is a function."""

import json
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import httpx
import pytest
from rich.console import Console

from ganclinic.cli.logs import for_people, logs
from ganclinic.cli.output import Output
from ganclinic.cli.parser import make_parser
from ganclinic.client import Client
from ganclinic.errors import NotFound, ServiceFailed, ServiceUnreachable
from ganclinic.transport import Event, read_events
from tests.support.fake_service import run_document

RUN = "0123456789abcdef"
Answer = Callable[[httpx.Request], httpx.Response]


def log(text: str, *, attempt: int = 1, end: int = 0) -> httpx.Response:
    return httpx.Response(200, text=text, headers={"X-Log-Attempt": str(attempt), "X-Log-End": str(end)})


def stream(*events: str) -> httpx.Response:
    content = "".join(f"{event}\n\n" for event in events)
    return httpx.Response(200, text=content, headers={"Content-Type": "text/event-stream"})


def run(status: str, attempt: int) -> httpx.Response:
    return httpx.Response(200, json=run_document(RUN, status=status, attempt=attempt) | {"spec": {}})


def problem(status: int, title: str, detail: str) -> httpx.Response:
    document = {"title": title, "status": status, "detail": detail}
    return httpx.Response(status, json=document, headers={"Content-Type": "application/problem+json"})


def missing() -> httpx.Response:
    return problem(404, "Not recorded", "The run has recorded no attempt.")


class Script:
    """A service that answers each path with the next of its answers."""

    def __init__(self, **answers: list[httpx.Response | Exception]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, dict[str, str], str | None]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(f"/v1/runs/{RUN}").strip("/") or "run"
        self.asked.append((path, dict(request.url.params), request.headers.get("Last-Event-ID")))
        answer = self._answers[path.replace("/", "_")].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options: Any) -> Client:
        return Client("http://clinic", "token", httpx.MockTransport(self), sleep=lambda _: None, **options)


def written(script: Script, *arguments: str) -> str:
    results = Console(file=StringIO(), width=1000)
    options = make_parser().parse_args(["logs", RUN, *arguments])
    with script.client() as client:
        assert logs(client, Output(results=results, notes=results, as_json=options.json), options) == 0
    assert isinstance(results.file, StringIO)
    return results.file.getvalue()


def test_the_last_lines_are_shown() -> None:
    script = Script(log=[log("one\ntwo\n", attempt=2)])
    assert written(script, "--attempt", "2", "--tail", "5") == "one\ntwo\n"
    assert script.asked == [("log", {"attempt": "2", "tail": "5"}, None)]


def test_a_log_is_json_where_that_is_asked_for() -> None:
    script = Script(log=[log("one\ntwo\n", attempt=3)])
    assert json.loads(written(script, "--json")) == {"run_id": RUN, "attempt": 3, "lines": ["one", "two"]}


def test_a_log_is_followed_from_where_it_was_read() -> None:
    script = Script(
        log=[log("one\n", end=4)],
        log_stream=[
            stream("id: 8\ndata: two", "id: 20\ndata: three\ndata: four", "event: end\nid: 20\ndata: succeeded")
        ],
        run=[run("succeeded", 1)],
    )
    assert written(script, "--follow") == "one\ntwo\nthree\nfour\n"
    assert script.asked[1] == ("log/stream", {"attempt": "1"}, "4")


def test_a_broken_stream_goes_on_after_the_last_event_that_came() -> None:
    script = Script(
        log=[log("", end=0)],
        log_stream=[stream("id: 4\ndata: one"), httpx.ReadError("gone"), stream("event: end\nid: 4\ndata: failed")],
        run=[run("failed", 1)],
    )
    assert written(script, "--follow") == "one\n"
    assert [after for path, _, after in script.asked if path == "log/stream"] == ["0", "4", "4"]


def test_the_attempts_of_a_run_are_followed_one_after_the_other() -> None:
    script = Script(
        log=[missing(), log("first\n", end=6)],
        log_stream=[
            stream("event: end\nid: 6\ndata: lost"),
            stream("id: 7\ndata: second", "event: end\nid: 7\ndata: x"),
        ],
        run=[run("queued", 0), run("queued", 1), run("running", 2), run("succeeded", 2)],
    )
    assert written(script, "--follow") == "first\nsecond\n"
    assert script.asked[-2] == ("log/stream", {"attempt": "2"}, "0")


def test_an_attempt_that_is_named_is_followed_alone() -> None:
    script = Script(log=[log("first\n", end=6)], log_stream=[stream("event: end\nid: 6\ndata: lost")])
    assert written(script, "--follow", "--attempt", "1") == "first\n"


def test_a_log_that_is_followed_can_be_json_lines() -> None:
    script = Script(log=[log("a\x1b\nb\n", end=4)], log_stream=[stream("event: end\nid: 4\ndata: lost")])
    lines = written(script, "--follow", "--attempt", "1", "--json").splitlines()
    assert [json.loads(line) for line in lines] == [{"line": "a\x1b"}, {"line": "b"}]


def test_a_run_that_ended_without_an_attempt_has_no_log_to_follow() -> None:
    with pytest.raises(NotFound), Script(log=[missing()], run=[run("cancelled", 0)]).client() as client:
        list(client.follow_log(RUN))


def test_an_outage_that_lasts_ends_the_following() -> None:
    now = iter(range(0, 10_000, 40))
    script = Script(log=[log("", end=0)], log_stream=[httpx.ConnectError("refused") for _ in range(5)])
    with pytest.raises(ServiceUnreachable), script.client(clock=lambda: float(next(now))) as client:
        list(client.follow_log(RUN))


class QuietMinutes(httpx.SyncByteStream):
    """A stream in which keep-alives come for so long, and which then breaks."""

    def __init__(self, clock: list[float], minutes: int) -> None:
        self._clock, self._minutes = clock, minutes

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(4 * self._minutes):
            self._clock[0] += 15
            yield b": still here\n\n"
        raise httpx.ReadError("gone")


def test_a_connection_that_breaks_after_quiet_minutes_is_made_again() -> None:
    now = [0.0]
    quiet = httpx.Response(200, stream=QuietMinutes(now, minutes=2))
    ends = stream("event: end\nid: 0\ndata: failed")
    script = Script(log=[log("", end=0)], log_stream=[quiet, ends], run=[run("failed", 1)])
    with script.client(clock=lambda: now[0]) as client:
        assert "".join(client.follow_log(RUN)) == ""
    assert [path for path, *_ in script.asked if path == "log/stream"] == ["log/stream"] * 2


def test_an_answer_ends_an_outage_though_no_event_comes() -> None:
    now = [0.0]
    answers = [httpx.ConnectError("refused"), httpx.Response(200, stream=QuietMinutes(now, minutes=2))]
    ends = stream("event: end\nid: 0\ndata: failed")
    script = Script(log=[log("", end=0)], log_stream=[*answers, ends], run=[run("failed", 1)])
    with script.client(clock=lambda: now[0]) as client:
        assert "".join(client.follow_log(RUN)) == ""


def test_a_fault_of_the_service_is_no_outage() -> None:
    fault = problem(500, "Internal error", "It is in the service's log.")
    script = Script(log=[log("", end=0)], log_stream=[fault, stream("event: end\nid: 0\ndata: failed")])
    with pytest.raises(ServiceFailed), script.client() as client:
        list(client.follow_log(RUN))


def test_events_are_read_from_their_lines() -> None:
    lines = [": comment", "", "id: 3", "data: a", "data:  b", "", "event: end", "data: x", "", "data: cut off"]
    assert list(read_events(lines)) == [Event(kind="message", id=3, data="a\n b"), Event(kind="end", id=3, data="x")]


def test_a_terminal_is_never_steered() -> None:
    assert for_people("\x1b[2Jred\x9b0m\u202etxt\tüber") == r"\x1b[2Jred\x9b0m\u202etxt" + "\tüber"


def test_lines_of_json_are_shown_as_text() -> None:
    record = {"time": "T", "level": "INFO", "logger": "worker", "run": "01", "message": "epoch\x1b 3"}
    assert for_people(json.dumps(record)) == r"T INFO worker run=01 epoch\x1b 3"
    failed = {**record, "message": "failed", "traceback": "Traceback\n  there\nValueError: no"}
    assert for_people(json.dumps(failed)) == "T INFO worker run=01 failed ValueError: no"


@pytest.mark.parametrize("line", ['{"not": "a record"}', "{broken", "{" * 20])
def test_other_lines_with_braces_stay_as_they_are(line: str) -> None:
    assert for_people(line) == line
