"""Ids of requests: answered, logged, and kept with what they made."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from api.http.tracking import choose_id
from store import treatments
from store.core.db import transaction
from store.core.models import Run
from tests.integration.api.test_comparisons import FAKE, REAL
from tests.support.api import TOKEN, Service
from tests.support.store import SPEC
from tests.support.treatment import end, make_run
from tests.support.worker import Clinic


@pytest.mark.parametrize("given", ["a", "trace-1.2_3", "F" * 64])
def test_a_sane_id_is_kept(given: str) -> None:
    assert choose_id(given) == given


@pytest.mark.parametrize("given", [None, "", "a b", "x\n", "é", "F" * 65, "a/b", "\x1b[2J"])
def test_any_other_id_is_replaced(given: str | None) -> None:
    made = choose_id(given)
    assert made != given
    assert len(made) == 16


def test_every_answer_has_the_id_also_a_refusal(sqlite_service: Service) -> None:
    answer = sqlite_service.client.get("/v1/runs", headers={"X-Request-ID": "mine"})
    assert answer.headers.get_list("x-request-id") == ["mine"]
    assert (
        sqlite_service.anonymous.get("/v1/runs", headers={"X-Request-ID": "no.token"}).headers["x-request-id"]
        == "no.token"
    )
    assert sqlite_service.client.get("/v1/nothing").headers["x-request-id"]


def test_a_run_keeps_the_id_of_the_request_that_made_it(service: Service) -> None:
    def post(request_id: str) -> str:
        headers = {"X-Request-ID": request_id, "Idempotency-Key": "one"}
        return service.client.post("/v1/runs", json={"spec": SPEC}, headers=headers).json()["id"]

    run_id = post("first")
    assert post("again") == run_id
    assert service.client.get(f"/v1/runs/{run_id}").json()["request_id"] == "first"


def test_the_runs_of_a_batch_keep_the_id(service: Service) -> None:
    body = {"runs": [{"spec": SPEC}, {"spec": SPEC}]}
    made = service.client.post("/v1/batches", json=body, headers={"X-Request-ID": "many"}).json()
    ids = [service.client.get(f"/v1/runs/{run['id']}").json()["request_id"] for run in made["runs"]]
    assert ids == ["many", "many"]


def test_the_first_try_of_a_treatment_and_an_evaluation_keep_the_id(service: Service) -> None:
    with transaction(service.engine) as session:
        sick = make_run(session, "mode collapse")

    def post(request_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        headers, files = {"X-Request-ID": request_id, "Idempotency-Key": "one"}, {"real": REAL, "fake": FAKE}
        treatment = service.client.post(f"/v1/runs/{sick}/treatments", headers=headers)
        return treatment.json(), service.client.post("/v1/evaluations", files=files, headers=headers).json()

    post("first")
    treatment, evaluation = post("again")
    (first,) = (run["id"] for run in treatment["tries"])
    with transaction(service.engine) as session:
        end(session, first, "mode collapse")
    post("later")  # the second try is there, and not its work
    with transaction(service.engine) as session:
        _, second = treatments.tries(session, treatment["id"])
        kept = [session.get_one(Run, run_id).request_id for run_id in (first, second.id, evaluation["id"])]
    assert kept == ["first", None, "first"]


def test_an_unexpected_error_is_answered_with_the_id(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("store.runs.lifecycle.get", lambda *_, **__: 1 / 0)
    with caplog.at_level(logging.INFO, "api.http.tracking"):
        answer = sqlite_service.client.get(f"/v1/runs/{'a' * 16}?token=hidden", headers={"X-Request-ID": "bad"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "bad")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "api.http.tracking"]
    assert line.startswith("GET /v1/runs/aaaaaaaaaaaaaaaa 500 in ")


@pytest.fixture
def clinic(sqlite_engine, tmp_path: Path) -> Clinic:
    return Clinic(home=tmp_path, engine=sqlite_engine, database_url=str(sqlite_engine.url))


def test_a_server_logs_each_request_as_json_and_no_token(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANCLINIC_LOG_FORMAT", "json")
    with clinic.api() as (_, http):
        http.get("/runs", headers={"X-Request-ID": "known"})
        http.get(f"/runs/{TOKEN}/%1b%5b2J")
        http.get("/runs", headers={"Authorization": "Bearer guessed-wrongly"})
        http.get("/health/live")
    text = (clinic.home / "api.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
    requests = [line for line in lines if line["logger"] == "api.http.tracking"]
    assert [line["message"].partition(" in ")[0] for line in requests] == [
        "GET /v1/runs 200",
        "GET /v1/runs/***/%1B%5B2J 404",
        "GET /v1/runs 401",
    ]
    assert requests[0]["request"] == "known"
    assert len({line["request"] for line in requests}) == 3
    assert TOKEN not in text
    assert "guessed" not in text
    assert "\x1b" not in text
