"""Runs and batches over HTTP: created, listed, looked at, cancelled."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ganclinic.client import Client
from ganlib.spec.preset import preset_names
from ganlib.spec.request import MAX_BATCH
from store.core.db import reading, transaction
from store.core.models import Batch, Run
from tests.support.api import TOKEN, Service, count_runs, record
from tests.support.serving import served
from tests.support.sharing import ADA, submit
from tests.support.store import SPEC

TINY = {"spec": SPEC}


def create(service: Service, **changes: Any) -> dict[str, Any]:
    answer = service.client.post("/v1/runs", json={**TINY, **changes})
    assert answer.status_code == 202
    return answer.json()


class LookBeforeAnswer:
    """Counts the stored runs, on a connection of its own, when the answer's first byte is about to be sent."""

    def __init__(self, service: Service) -> None:
        self._app: ASGIApp = service.app
        self._engine = service.engine
        self.seen: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def look(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.seen.append(count_runs(self._engine))
            await send(message)

        await self._app(scope, receive, look)


# --- creating ---------------------------------------------------------------------------------------------------


def test_a_created_run_is_queued_and_has_an_address(service: Service) -> None:
    answer = service.client.post("/v1/runs", json={**TINY, "name": "first", "set": {"seed": 7, "training.epochs": 2}})
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"/v1/runs/{run['id']}" == run["links"]["self"]
    wanted = {
        "name": "first",
        "status": "queued",
        "seed": 7,
        "epochs_total": 2,
        "epochs_done": 0,
        "attempt": 0,
        "step": 0,
    }
    assert run.items() >= wanted.items()
    assert service.client.get(answer.headers["location"]).json()["spec"]["training"]["epochs"] == 2


def test_times_are_rfc_3339_in_utc(service: Service) -> None:
    created_at = create(service)["created_at"]
    assert created_at.endswith("Z")
    assert abs(datetime.fromisoformat(created_at) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/batches"])
def test_a_run_is_committed_before_it_is_answered(service: Service, path: str) -> None:
    looking = LookBeforeAnswer(service)
    client = TestClient(looking, headers={"Authorization": f"Bearer {TOKEN}"})
    assert client.post(path, json=TINY if path == "/v1/runs" else {"runs": [TINY]}).status_code == 202
    assert looking.seen == [1]


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/batches"])
def test_the_bell_rings_after_the_commit(service: Service, path: str) -> None:
    service.client.post(path, json=TINY if path == "/v1/runs" else {"runs": [TINY]})
    assert service.rung == [1]


def test_the_bell_does_not_ring_for_a_request_that_is_refused(sqlite_service: Service) -> None:
    assert sqlite_service.client.post("/v1/runs", json={"preset": "nope"}).status_code == 422
    assert sqlite_service.rung == []


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_can_be_run(sqlite_service: Service, name: str) -> None:
    run = sqlite_service.client.post("/v1/runs", json={"preset": name}).json()
    assert (run["preset"], run["status"]) == (name, "queued")


def test_equal_specs_have_equal_hashes(sqlite_service: Service) -> None:
    one, same, other = create(sqlite_service), create(sqlite_service, name="x"), create(sqlite_service, set={"seed": 1})
    assert one["spec_hash"] == same["spec_hash"] != other["spec_hash"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"preset": "digit8-stabel"}, "preset", "allowed: digit8-adam-default"),
        ({}, "preset", "either"),
        ({**TINY, "preset": "digit8-stable"}, "preset", "either"),
        ({**TINY, "set": {"training.epochs": 0}}, "training.epochs", "greater than or equal to 1, not 0"),
        ({**TINY, "set": {"training.epoch": 1}}, "training.epoch", "allowed: epochs"),
        ({**TINY, "set": {"training.batch_size": 101}}, "training.batch_size", "allowed: 1 to 100"),
        ({**TINY, "set": {"dataset.name": "cifar"}}, "dataset.name", "allowed: "),
        ({**TINY, "sett": {}}, "sett", "is not a field"),
        ({**TINY, "name": ""}, "name", "at least 1"),
        ({**TINY, "name": "x" * 201}, "name", "at most 200"),
        ({**TINY, "name": "a\x1b[31mb"}, "name", "match"),
        ({**TINY, "name": 3}, "name", "valid string"),
    ],
)
def test_a_run_that_cannot_work_is_refused_with_its_field(
    sqlite_service: Service, body: dict[str, Any], field: str, words: str
) -> None:
    answer = sqlite_service.client.post("/v1/runs", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"][0]["field"] == field
    assert words in problem["errors"][0]["message"]
    assert problem["detail"].startswith(f"{field}: ")
    assert problem["instance"] == "/v1/runs"
    assert sqlite_service.count_runs() == 0


def test_all_wrong_fields_are_named_at_once(sqlite_service: Service) -> None:
    body = {**TINY, "set": {"training.epochs": 0, "optimizer.beta1": 2, "nope": 1}}
    problem = sqlite_service.client.post("/v1/runs", json=body).json()
    assert {e["field"] for e in problem["errors"]} == {"training.epochs", "optimizer.beta1", "nope"}


# --- idempotency ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [("/v1/runs", TINY, {**TINY, "name": "x"}), ("/v1/batches", {"runs": [TINY]}, {"runs": [TINY, TINY]})],
)
def test_an_idempotency_key_makes_one_thing(service: Service, path: str, body: Any, other: Any) -> None:
    headers = {"Idempotency-Key": "k 1"}
    first = service.client.post(path, json=body, headers=headers)
    again = service.client.post(path, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert service.count_runs() == 1
    conflict = service.client.post(path, json=other, headers=headers)
    assert conflict.status_code == 409
    assert conflict.json()["type"] == "urn:ganclinic:problem:idempotency-conflict"
    assert service.count_runs() == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "tab\there"])
def test_an_idempotency_key_that_is_none_is_refused(sqlite_service: Service, key: str) -> None:
    answer = sqlite_service.client.post("/v1/runs", json=TINY, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "idempotency-key"


# --- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_keeps_the_order_of_its_requests(service: Service) -> None:
    names = [f"run {i}" for i in range(12)]
    answer = service.client.post("/v1/batches", json={"name": "dozen", "runs": [{**TINY, "name": n} for n in names]})
    assert answer.status_code == 202
    batch = answer.json()
    assert answer.headers["location"] == f"/v1/batches/{batch['id']}"
    assert [run["name"] for run in batch["runs"]] == names
    assert {run["batch_id"] for run in batch["runs"]} == {batch["id"]}
    assert service.client.get(answer.headers["location"]).json() == batch
    listed = service.client.get("/v1/runs", params={"batch": batch["id"]}).json()["items"]
    assert {run["id"] for run in listed} == {run["id"] for run in batch["runs"]}


def test_a_batch_with_one_bad_run_makes_nothing_and_names_the_field(service: Service) -> None:
    runs = [TINY, TINY, {"preset": "nope"}, {**TINY, "set": {"training.epochs": 0}}]
    answer = service.client.post("/v1/batches", json={"runs": runs})
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == ["runs[2].preset", "runs[3].training.epochs"]
    with reading(service.engine) as session:
        assert session.scalars(select(func.count()).select_from(Batch)).one() == 0
    assert service.count_runs() == 0
    assert service.rung == []


def test_a_batch_names_a_bad_field_of_a_request_itself(sqlite_service: Service) -> None:
    answer = sqlite_service.client.post("/v1/batches", json={"runs": [TINY, {**TINY, "nam": "x"}, {}]})
    assert [e["field"] for e in answer.json()["errors"]] == ["runs[1].nam", "runs[2].preset"]


@pytest.mark.parametrize(("number", "words"), [(0, "at least 1"), (MAX_BATCH + 1, "at most 1000")])
def test_a_batch_has_one_to_a_thousand_runs(sqlite_service: Service, number: int, words: str) -> None:
    answer = sqlite_service.client.post("/v1/batches", json={"runs": [TINY] * number})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "runs"
    assert words in answer.json()["errors"][0]["message"]


def test_a_thousand_runs_are_one_batch(sqlite_service: Service) -> None:
    answer = sqlite_service.client.post("/v1/batches", json={"runs": [TINY] * MAX_BATCH})
    assert answer.status_code == 202
    assert sqlite_service.count_runs() == MAX_BATCH


def test_a_thousand_mistakes_are_not_all_told(sqlite_service: Service) -> None:
    answer = sqlite_service.client.post("/v1/batches", json={"runs": [{"preset": "nope"}] * MAX_BATCH})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 100


def test_an_unknown_batch_is_not_found(service: Service) -> None:
    answer = service.client.get("/v1/batches/0123456789abcdef")
    assert (answer.status_code, answer.json()["title"]) == (404, "No such batch")


# --- listing ----------------------------------------------------------------------------------------------------


def test_pages_follow_one_another_without_gap_or_repeat(service: Service) -> None:
    created = [create(service, name=str(i))["id"] for i in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = service.client.get("/v1/runs", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [run["id"] for run in page["items"]]
        create(service, name="made meanwhile")
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == created[::-1]


def test_runs_are_listed_by_every_filter(service: Service) -> None:
    queued, running = create(service, name="a"), create(service, name="b")
    preset = service.client.post("/v1/runs", json={"preset": "digit8-stable"}).json()
    with transaction(service.engine) as session:
        session.execute(update(Run).where(Run.id == running["id"]).values(status="running", verdict="mode collapse"))

    def listed(**query: str) -> set[str]:
        answer = service.client.get("/v1/runs", params=query)
        assert answer.status_code == 200
        return {run["id"] for run in answer.json()["items"]}

    assert listed() == {queued["id"], running["id"], preset["id"]}
    assert listed(status="running") == {running["id"]}
    assert listed(verdict="mode collapse") == {running["id"]}
    assert listed(name="a") == {queued["id"]}
    assert listed(preset="digit8-stable") == {preset["id"]}
    assert listed(batch="none") == set()
    assert listed(status="queued", name="b") == set()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": "sleeping"}, "status"),
        ({"verdict": "fine"}, "verdict"),
        ({"stauts": "failed"}, "stauts"),
        ({"cursor": "%00"}, "cursor"),
        ({"cursor": "bm90IGEgY3Vyc29y"}, "cursor"),
        ({"cursor": "x" * 500}, "cursor"),
    ],
)
def test_a_bad_query_is_refused_with_its_field(sqlite_service: Service, query: dict[str, Any], field: str) -> None:
    answer = sqlite_service.client.get("/v1/runs", params=query)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]


# --- looking and cancelling -------------------------------------------------------------------------------------


def test_a_run_shows_its_spec_and_its_attempts(service: Service) -> None:
    recorded = record(service, 2)
    run = service.client.get(recorded.path).json()
    assert (
        run.items()
        >= {"status": "running", "epochs_done": 2, "verdict": "mode collapse", "first_epoch_seen": 2}.items()
    )
    assert run["spec"]["dataset"]["name"] == "ring8"
    assert [(a["number"], a["outcome"], a["worker"]) for a in run["attempts"]] == [(1, "running", "worker-1")]
    assert run["attempts"][0]["started_at"].endswith("Z")


def test_every_link_of_a_run_leads_somewhere(service: Service) -> None:
    recorded = record(service)
    links = service.client.get(recorded.path).json()["links"]
    assert {name: service.client.get(path).status_code for name, path in links.items()} == dict.fromkeys(links, 200)


def test_a_queued_run_is_cancelled_at_once(service: Service) -> None:
    run = create(service)
    answer = service.client.post(f"{run['links']['self']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    assert answer.json()["finished_at"] is not None


def test_a_running_run_is_asked_to_stop(service: Service) -> None:
    recorded = record(service, 1)
    answer = service.client.post(f"{recorded.path}/cancel")
    assert (answer.status_code, answer.json()["status"], answer.json()["cancel_requested"]) == (202, "running", True)


def test_cancelling_twice_changes_nothing(service: Service) -> None:
    path = create(service)["links"]["self"] + "/cancel"
    assert service.client.post(path).json() == service.client.post(path).json()


RUN_PATHS = [
    "/v1/runs/{id}",
    "/v1/runs/{id}/series",
    "/v1/runs/{id}/samples",
    "/v1/runs/{id}/samples/1",
    "/v1/runs/{id}/figures/losses.png",
    "/v1/runs/{id}/figures/ndb.svg",
    "/v1/runs/{id}/evaluations",
    "/v1/runs/{id}/diagnosis",
    "/v1/runs/{id}/diagnosis/history",
]


@pytest.mark.parametrize("path", RUN_PATHS)
def test_an_unknown_run_is_not_found(sqlite_service: Service, path: str) -> None:
    answer = sqlite_service.client.get(path.format(id="0123456789abcdef"))
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:ganclinic:problem:run-not-found")


def test_an_unknown_run_cannot_be_cancelled(sqlite_service: Service) -> None:
    assert sqlite_service.client.post("/v1/runs/0123456789abcdef/cancel").status_code == 404


def test_runs_are_listed_by_team_and_by_when_they_were_made(service: Service) -> None:
    with transaction(service.engine) as session:
        first, second, third = submit(session, ADA, 3)
        session.execute(update(Run).where(Run.id == first).values(created_at=1000.0))
        session.execute(update(Run).where(Run.id == second).values(created_at=2000.0))
        session.execute(update(Run).where(Run.id == third).values(created_at=3000.0, team="other"))

    def listed(**query: str) -> list[str]:
        answer = service.client.get("/v1/runs", params=query)
        assert answer.status_code == 200, answer.text
        return [run["id"] for run in answer.json()["items"]]

    assert listed(team="other") == [third]
    assert listed(made_after="1970-01-01T00:20:00Z") == [third, second]  # 1,200 s
    assert listed(made_before="1970-01-01T01:33:20+01:00") == [first]  # 2,000 s, which is not before
    assert listed(made_after="1970-01-01T00:16:40Z", made_before="1970-01-01T00:50:00Z") == [second]
    for wrong in ("yesterday", "1970-01-01T00:00:00", "1970-01-01", "0.5", "1200"):
        assert service.client.get("/v1/runs", params={"made_after": wrong}).status_code == 422
    with served(service) as url, Client(url, TOKEN) as client:
        since = datetime(1970, 1, 1, 0, 20, tzinfo=UTC)
        assert [run.id for run in client.list_runs(made_after=since, team="other")] == [third]
