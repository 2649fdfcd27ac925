"""Logs of attempts over HTTP, on both databases."""

from typing import Any

import pytest
from sqlalchemy import Engine

from api.runs import log as api_run_logs
from store.core.db import transaction
from store.runs import claims, endings, logs
from store.runs.claims import Claim
from tests.support.api import Service
from tests.support.store import claim_run


@pytest.fixture
def claim(engine: Engine) -> Claim:
    with transaction(engine) as session:
        return claim_run(session)


def log(service: Service, claim: Claim, start: int, content: bytes) -> None:
    with transaction(service.engine) as session:
        logs.append(session, claim.run_id, claim.attempt, start, content)


def end(service: Service, claim: Claim) -> None:
    with transaction(service.engine) as session:
        endings.finish(session, claim.run_id, claim.token, "failed", error="no data", error_kind="DatasetUnavailable")


def get(service: Service, claim: Claim, **query: Any) -> Any:
    return service.client.get(f"/v1/runs/{claim.run_id}/log", params=query)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_run_logs, "LAST_WORDS_S", 0.0)
    monkeypatch.setattr(api_run_logs, "POLL_INTERVAL_S", 0.01)


def follow(service: Service, claim: Claim, after: int | None = None, **query: Any) -> list[str]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    answer = service.client.get(f"/v1/runs/{claim.run_id}/log/stream", headers=headers, params=query)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.text.split("\n\n")[:-1]


def test_a_log_is_plain_text_of_whole_lines(service: Service, claim: Claim) -> None:
    assert get(service, claim).text == ""
    log(service, claim, 0, b"one\ntwo\nthree\nhal")
    answer = get(service, claim)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (answer.headers["x-log-attempt"], answer.headers["x-log-end"]) == ("1", "14")
    assert answer.text == "one\ntwo\nthree\n"
    assert get(service, claim, tail=2).text == "two\nthree\n"
    end(service, claim)
    assert get(service, claim, tail=1).text == "hal"


def test_each_attempt_has_its_own_log(service: Service, claim: Claim) -> None:
    log(service, claim, 0, b"first\n")
    with transaction(service.engine) as session:
        endings.hand_over(session, claim.run_id, claim.token)
        second = claims.claim(session, "another", service.settings.lease_duration)
    assert second is not None
    log(service, second, 0, b"second\n")
    assert get(service, claim).text == "second\n"
    assert get(service, claim, attempt=1).text == "first\n"


@pytest.mark.parametrize(
    ("query", "status"), [({"attempt": 2}, 404), ({"attempt": 0}, 422), ({"tail": 0}, 422), ({"tail": 10**6}, 422)]
)
def test_what_cannot_be_is_refused(service: Service, claim: Claim, query: dict[str, int], status: int) -> None:
    answer = get(service, claim, **query)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_run_without_an_attempt_has_no_log(service: Service) -> None:
    run_id = service.client.post("/v1/runs", json={"preset": "digit8-stable"}).json()["id"]
    for path in ("log", "log/stream"):
        answer = service.client.get(f"/v1/runs/{run_id}/{path}")
        assert (answer.status_code, answer.json()["detail"]) == (404, "The run has recorded no attempt.")
    assert service.client.get(f"/v1/runs/{'a' * 16}/log").status_code == 404


def test_hostile_content_comes_out_harmless(service: Service, claim: Claim) -> None:
    log(service, claim, 0, b"\x1b[2J\x00\xff\r<script>" + b"x" * 100_000 + b"\n")
    text = get(service, claim).text
    assert text.startswith("\\x1b[2J\\x00�\n<script>xxx")
    assert len(text) < 5000
    assert all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.mark.usefixtures("at_once")
def test_a_log_that_has_ended_is_streamed_with_the_outcome(service: Service, claim: Claim) -> None:
    log(service, claim, 0, b"one\ntwo\n\nevent: end\nhal")
    end(service, claim)
    events = follow(service, claim)
    assert events == [
        "id: 23\ndata: one\ndata: two\ndata: \ndata: event: end\ndata: hal",
        "event: end\nid: 23\ndata: failed",
    ]


@pytest.mark.usefixtures("at_once")
def test_a_stream_goes_on_after_the_last_event_that_came(service: Service, claim: Claim) -> None:
    log(service, claim, 0, b"one\ntwo\n")
    end(service, claim)
    assert follow(service, claim, after=4) == ["id: 8\ndata: two", "event: end\nid: 8\ndata: failed"]
    assert follow(service, claim, after=8) == ["event: end\nid: 8\ndata: failed"]


def test_where_a_stream_goes_on_has_to_be_a_number(service: Service, claim: Claim) -> None:
    answer = service.client.get(f"/v1/runs/{claim.run_id}/log/stream", headers={"Last-Event-ID": "-1"})
    assert answer.status_code == 422


def test_logs_need_the_token(service: Service, claim: Claim) -> None:
    for path in ("log", "log/stream"):
        assert service.anonymous.get(f"/v1/runs/{claim.run_id}/{path}").status_code == 401
