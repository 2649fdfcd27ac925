import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from ganclinic import Client, RunRequest
from ganclinic.errors import (
    ApiError,
    Conflict,
    GanClinicError,
    InvalidSpec,
    NotAuthorised,
    NotFound,
    ServiceFailed,
    ServiceUnreachable,
    UnexpectedAnswer,
    WaitTimeout,
)
from tests.support.fake_service import COLLAPSE, DONE, EVALUATION, PNG, FakeService, problem


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def client(service: FakeService) -> Iterator[Client]:
    with service.client() as client:
        yield client


def test_create_run_sends_only_what_was_asked_for(client: Client, service: FakeService) -> None:
    run = client.create_run(RunRequest(preset="digit8-stable", set={"training.epochs": 3}))
    assert json.loads(service.requests[0].content) == {"preset": "digit8-stable", "set": {"training.epochs": 3}}
    assert run.status == "queued"
    assert run.steps_total == 300


def test_create_run_sends_a_key_of_its_own_each_time(client: Client, service: FakeService) -> None:
    for _ in range(2):
        client.create_run(RunRequest(preset="digit8-stable"))
    first, second = (request.headers["Idempotency-Key"] for request in service.requests)
    assert first != second


def test_create_run_is_repeated_with_the_same_key_when_the_connection_breaks(
    client: Client, service: FakeService
) -> None:
    service.next_answers.append(httpx.ReadError("reset"))
    client.create_run(RunRequest(preset="digit8-stable"))
    first, second = (request.headers["Idempotency-Key"] for request in service.requests)
    assert first == second


def test_create_batch_keeps_the_order_and_the_name(client: Client, service: FakeService) -> None:
    batch = client.create_batch([RunRequest(preset="b"), RunRequest(preset="a", name="one")], name="two")
    assert [run.label for run in batch.runs] == ["b", "one"]
    assert batch.name == "two"


def test_list_runs_fetches_further_pages_only_as_they_are_reached(client: Client, service: FakeService) -> None:
    for index in range(5):
        service.add(f"{index}")
    runs = client.list_runs(status="queued")
    assert next(runs).id == "0"
    assert len(service.requests) == 1
    assert [run.id for run in runs] == ["1", "2", "3", "4"]
    assert [request.url.params.get("cursor") for request in service.requests] == [None, "2", "4"]
    assert {request.url.params["status"] for request in service.requests} == {"queued"}


def test_watch_gives_each_change_until_the_run_is_over(client: Client, service: FakeService) -> None:
    service.add("a", {}, {}, {"status": "running", "step": 5}, DONE, {"status": "never seen"})
    assert [run.status for run in client.watch("a")] == ["queued", "running", "succeeded"]


def test_watch_runs_asks_no_more_for_those_that_are_over(client: Client, service: FakeService) -> None:
    service.add("a", DONE)
    service.add("b", {}, {}, DONE)
    last = list(client.watch_runs(["a", "b"]))[-1]
    assert [run.status for run in last] == ["succeeded", "succeeded"]
    assert sum(request.url.path.endswith("/a") for request in service.requests) == 1


def test_watch_waits_out_a_restart_of_the_service(client: Client, service: FakeService) -> None:
    service.add("a", {}, DONE)
    service.next_answers.extend([httpx.ConnectError("refused")] * 7)
    assert [run.status for run in client.watch("a")] == ["queued", "succeeded"]


def test_watch_gives_up_when_the_service_stays_away(client: Client, service: FakeService) -> None:
    service.next_answers.extend([httpx.ConnectError("refused")] * 1000)
    with pytest.raises(ServiceUnreachable, match=r"refused.*ganclinic up"):
        list(client.watch("a"))
    assert 60 <= service.now < 70


def test_watch_does_not_wait_out_a_fault_of_the_service(client: Client, service: FakeService) -> None:
    service.next_answers.append(problem(500, "Internal Server Error"))
    with pytest.raises(ServiceFailed, match="logs"):
        list(client.watch("a"))


def test_watch_batch_ends_when_all_its_runs_are_over(client: Client, service: FakeService) -> None:
    batch = client.create_batch([RunRequest(preset="a"), RunRequest(preset="b")])
    seen = list(client.watch_batch(batch.id))
    assert [run.status for run in seen[-1].runs] == ["succeeded", "succeeded"]
    assert len(seen) == 3


def test_wait_says_when_the_run_takes_longer(client: Client, service: FakeService) -> None:
    service.add("a", {"status": "running"})
    with pytest.raises(WaitTimeout, match="still running after 3 s; it goes on"):
        client.wait("a", timeout_s=3)


def test_wait_returns_the_final_run(client: Client, service: FakeService) -> None:
    service.add("a", {}, {}, DONE)
    assert client.wait("a", timeout_s=30).verdict == "mode collapse"


def test_cancel_of_a_queued_run_ends_it(client: Client, service: FakeService) -> None:
    service.add("a")
    assert client.cancel("a").status == "cancelled"


def test_diagnosis_and_evaluations_come_back_whole(client: Client, service: FakeService) -> None:
    service.add("a", DONE)
    assert client.diagnosis("a") == COLLAPSE
    assert client.diagnosis_history("a") == [COLLAPSE]
    assert client.evaluations("a") == [EVALUATION]


def test_samples_are_those_of_the_last_epoch_by_default(client: Client, service: FakeService) -> None:
    service.add("a", DONE)
    assert client.samples("a") == PNG + b"samples/10"
    assert client.samples("a", epoch=1) == PNG + b"samples/1"


def test_series_and_figures_are_asked_for_as_named(client: Client, service: FakeService) -> None:
    service.add("a", DONE)
    assert client.figure("a", "ndb", kind="svg", epoch=3) == PNG + b"figures/ndb.svg"
    assert service.requests[-1].url.params["epoch"] == "3"
    column = {"mean": [0.5, None], "min": [0.1, None], "max": [0.9, None]}
    series = {
        "resolution": "step",
        "steps_per_epoch": 30,
        "steps": [1, 2],
        "epochs": [1, 1],
        "columns": {"g_loss": column},
    }
    service.next_answers.append(httpx.Response(200, json=series))
    assert client.series("a", resolution="step", max_points=2).columns["g_loss"].mean == (0.5, None)
    assert dict(service.requests[-1].url.params) == {"resolution": "step", "max_points": "2"}


def test_a_strange_id_stays_one_part_of_the_path(client: Client, service: FakeService) -> None:
    with pytest.raises(NotFound):
        client.get_run("../presets?x")
    assert service.requests[0].url.raw_path == b"/v1/runs/..%2Fpresets%3Fx"


@pytest.mark.parametrize(
    ("status", "kind", "exit_code"),
    [
        (401, NotAuthorised, 4),
        (404, NotFound, 2),
        (405, ApiError, 1),
        (409, Conflict, 2),
        (422, InvalidSpec, 2),
        (500, ServiceFailed, 3),
    ],
)
def test_each_problem_becomes_its_error(
    client: Client, service: FakeService, status: int, kind: type[ApiError], exit_code: int
) -> None:
    service.next_answers.append(problem(status, "Title", "What went wrong."))
    with pytest.raises(ApiError) as caught:
        client.get_run("a")
    assert type(caught.value) is kind
    assert caught.value.exit_code == exit_code
    assert caught.value.problem.detail == "What went wrong."


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x"), httpx.WriteError("x")]
)
def test_every_transport_error_becomes_ours_after_three_tries(
    client: Client, service: FakeService, error: httpx.TransportError
) -> None:
    service.next_answers.extend([error] * 3)
    with pytest.raises(ServiceUnreachable):
        client.get_run("a")
    assert service.slept == [0.2, 0.8]


def test_a_busy_service_is_asked_again_when_it_says(client: Client, service: FakeService) -> None:
    service.add("a")
    busy = problem(503, "The database does not answer")
    busy.headers["Retry-After"] = "2"
    service.next_answers.append(busy)
    assert client.get_run("a").id == "a"
    assert service.slept == [2.0]


@pytest.mark.parametrize(
    ("status", "retry_after", "tries"),
    [
        (429, None, 1),  # a full quota: it is full until a run ends
        (429, "2", 3),
        (429, "3600", 1),
        *((status, None, 3) for status in (502, 503, 504)),
        (503, "5", 3),
        (503, "60", 1),
        (503, "Wed, 21 Oct 2015 07:28:00 GMT", 3),
        *((status, None, 1) for status in (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 425, 500, 501, 505, 507)),
    ],
)
def test_only_what_may_succeed_is_asked_again(
    client: Client, service: FakeService, status: int, retry_after: str | None, tries: int
) -> None:
    refused = problem(status, "refused", "…")
    if retry_after is not None:
        refused.headers["Retry-After"] = retry_after
    service.next_answers.extend([refused] * 3)
    with pytest.raises(ApiError):
        client.create_run(RunRequest(preset="digit8-stable"))
    assert len(service.next_answers) == 3 - tries
    assert len(service.slept) == tries - 1


def test_a_request_that_cannot_be_sent_is_tried_once(client: Client, service: FakeService) -> None:
    service.next_answers.extend([httpx.UnsupportedProtocol("x")] * 3)
    with pytest.raises(ServiceUnreachable):
        client.get_run("a")
    assert service.slept == []


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="nginx"),
        httpx.Response(302, headers={"Location": "http://elsewhere.test/"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"id": "a"}),
    ],
)
def test_an_answer_of_something_else_is_named_as_such(
    client: Client, service: FakeService, answer: httpx.Response
) -> None:
    service.next_answers.append(answer)
    with pytest.raises(UnexpectedAnswer, match="is that a GAN Clinic service"):
        client.get_run("a")


def test_a_diagnosis_of_another_version_is_named_as_such(client: Client, service: FakeService) -> None:
    service.next_answers.append(httpx.Response(200, json={"epoch": 1, "findings": []}))
    with pytest.raises(UnexpectedAnswer, match=re.escape("a Diagnosis that is none (verdict: Field required)")):
        client.diagnosis("a")


def test_the_fields_of_an_invalid_spec_are_listed_with_what_was_perhaps_meant(
    client: Client, service: FakeService
) -> None:
    errors = [
        {"field": "training.epoch", "message": "is not a field of the spec here; allowed: epochs, batch_size"},
        {"field": "dataset.name", "message": "'mnst' is not known; allowed: 'mnist', 'ring8'"},
        {"field": "generator.latent_dim", "message": "Input should be greater than 0, not 0"},
    ]
    service.next_answers.append(problem(422, "Invalid", "…", errors=errors))
    with pytest.raises(InvalidSpec) as caught:
        client.create_run(RunRequest(preset="digit8-stable"))
    lines = str(caught.value).splitlines()
    assert lines[1].startswith("  training.epoch: ")
    assert lines[1].endswith("(perhaps 'epochs'?)")
    assert lines[2].endswith("(perhaps 'mnist'?)")
    assert lines[3].endswith("not 0")


def test_is_healthy_never_raises(client: Client, service: FakeService) -> None:
    assert client.is_healthy()
    service.next_answers.extend([problem(503, "x")] * 3)
    assert not client.is_healthy()
    service.next_answers.append(httpx.Response(404, text="nginx"))
    assert not client.is_healthy()


def test_every_error_of_this_package_has_one_base() -> None:
    kinds = [ApiError, ServiceUnreachable, UnexpectedAnswer, WaitTimeout]
    assert all(issubclass(kind, GanClinicError) for kind in kinds)


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"status": "ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            assert client.is_healthy()
        thread.join()
