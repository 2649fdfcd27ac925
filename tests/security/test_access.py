"""Every route of the OpenAPI document: without a token, with another user's, and with each role."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, select

from api.http.auth import OPEN_PATHS
from api.openapi import openapi_document
from ganlib.step_blocks import MEDIA_TYPE, encode
from store.core.db import reading, transaction
from store.core.models import EventRow
from store.runs import endings
from store.scheduling.accounts import hash_token
from tests.support import treatment
from tests.support.api import TOKEN, Service, make_service
from tests.support.archives import pictures, zipped
from tests.support.store import SPEC

TEAMS = {"ada": "vision", "bob": "vision", "cyd": "audio", "dan": None}
METRICS_TOKEN = "only-for-numbers"
ARCHIVE = zipped(pictures(60))
Route = tuple[str, str]
ROUTES: list[Route] = [
    *((method.upper(), path) for path, item in openapi_document()["paths"].items() for method in item),
    ("GET", "/metrics"),
]
GUARDED = [route for route in ROUTES if route[1] not in OPEN_PATHS]
ADMINISTRATORS: list[Route] = [
    ("POST", "/v1/workers/{name}/drain"),
    ("DELETE", "/v1/workers/{name}/drain"),
    ("POST", "/v1/drain"),
    ("DELETE", "/v1/drain"),
]
EVERYBODYS: list[Route] = [
    ("POST", "/v1/runs"),
    ("POST", "/v1/watched-runs"),
    ("POST", "/v1/batches"),
    ("POST", "/v1/evaluations"),
    ("POST", "/v1/uploads"),
    ("POST", "/v1/webhooks"),
    ("POST", "/v1/runs/{run_id}/labels"),
    ("POST", "/v1/runs/{run_id}/diagnosis"),
]
"""Changes that are the sender's own, or are anybody's to make (docs/scheduling.md)."""
READS = [route for route in GUARDED if route[0] == "GET" and route[1] != "/metrics"]
QUERIES = {"/v1/glances": "?run={run_id}", "/v1/compare": "?runs={run_id}"}
FOLLOWED = ("/stream", "/events")
"""The ends of paths that are answered for ever: the text of the log, and the events that are stored."""
OWNERS = [r for r in GUARDED if r not in (*ADMINISTRATORS, *EVERYBODYS, *READS, ("GET", "/metrics"))]
"""What is left changes something that belongs to somebody: a new route is held to this without being named here."""
BODIES: dict[str, Any] = {"extend": {"epochs": 1}, "treatments": {}, "tags": {"tags": ["changed"]}}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A service in which everything is Ada's."""

    service: Service
    ids: dict[str, str]

    def path(self, template: str) -> str:
        return template.format(**self.ids, epoch=1, format="png", name="digit8-stable", index=0, sequence=1)

    def client(self, token: str | None) -> TestClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return TestClient(self.service.app, headers=headers, raise_server_exceptions=False)

    def status(self, token: str | None, method: str, template: str) -> int:
        body: dict[str, Any] = {"json": BODIES.get(template.rpartition("/")[2])}
        if "/steps/" in template:
            body = {"content": encode(["g_loss"], [[1.0]]), "headers": {"Content-Type": MEDIA_TYPE}}
        return self.client(token).request(method, self.path(template), **body).status_code

    def state(self) -> list[Any]:
        """What an owner sees of what belongs to it."""
        seen = self.client(TOKEN)
        kinds = {"runs": "run_id", "evaluations": "evaluation_id", "uploads": "upload_id", "treatments": "treatment_id"}
        found = [seen.get(f"/v1/{kind}/{self.ids[name]}").json() for kind, name in kinds.items()]
        return [*found, seen.get("/v1/webhooks").json()]


def token_of(user: str) -> str:
    return f"a token of {user}'s own"


@pytest.fixture
def house(sqlite_engine: Engine, tmp_path: Path) -> House:
    file = tmp_path / "tokens.toml"
    file.write_text(
        "".join(
            f'[[users]]\nname = "{name}"\ntoken_sha256 = "{hash_token(token_of(name).encode())}"\n'
            + (f'team = "{team}"\n' if team else "")
            for name, team in TEAMS.items()
        )
    )
    file.chmod(0o600)
    service = make_service(sqlite_engine, tmp_path, tokens_file=file, metrics_token=SecretStr(METRICS_TOKEN))
    ada = TestClient(service.app, headers={"Authorization": f"Bearer {token_of('ada')}"})
    run_id = ada.post("/v1/runs", json={"spec": SPEC}).json()["id"]
    with transaction(sqlite_engine) as session:
        claim = treatment.take(session, run_id)
        treatment.record(session, claim, "mode collapse")
        endings.finish(session, run_id, claim.token, "succeeded")
    made = {
        "treatment_id": ada.post(f"/v1/runs/{run_id}/treatments", json={}),
        "batch_id": ada.post("/v1/batches", json={"runs": [{"spec": SPEC}]}),
        "evaluation_id": ada.post("/v1/evaluations", files={"real": ARCHIVE, "fake": ARCHIVE}),
        "upload_id": ada.post("/v1/uploads", files={"file": ARCHIVE}),
        "webhook_id": ada.post("/v1/webhooks", json={"url": "https://hooks.test/x"}),
        "watched_run_id": ada.post("/v1/watched-runs", json={}),
    }
    assert all(answer.is_success for answer in made.values()), made
    return House(service=service, ids={"run_id": run_id} | {name: answer.json()["id"] for name, answer in made.items()})


def test_every_route_is_held_to_a_rule() -> None:
    assert set(ADMINISTRATORS) | set(EVERYBODYS) <= set(ROUTES)
    assert set(OPEN_PATHS) == {path for _, path in ROUTES if path not in {p for _, p in GUARDED}}
    assert len(OWNERS) >= 9
    assert {method for method, _ in OWNERS} <= {"POST", "PUT", "PATCH", "DELETE"}


def test_without_a_token_of_the_service_nothing_but_health_is_answered(house: House) -> None:
    strangers = [None, "", "wrong", hash_token(TOKEN.encode()), hash_token(token_of("ada").encode()), TOKEN[:-1]]
    before = house.state()
    for method, path in GUARDED:
        for token in strangers:
            assert house.status(token, method, path) == 401, (method, path, token)
        assert house.status(METRICS_TOKEN, method, path) == (200 if path == "/metrics" else 401), (method, path)
    assert house.state() == before
    for path in OPEN_PATHS:
        assert house.status(None, "GET", path) == 200


def test_what_belongs_to_somebody_is_changed_by_nobody_of_another_team(house: House) -> None:
    before = house.state()
    for method, path in OWNERS:
        for user in ("cyd", "dan"):
            assert house.status(token_of(user), method, path) == 403, (method, path, user)
    assert house.state() == before


@pytest.mark.parametrize("who", [token_of("ada"), token_of("bob"), TOKEN], ids=["owner", "team", "administrator"])
def test_it_is_changed_by_its_owner_the_team_and_administrators(house: House, who: str) -> None:
    for method, path in sorted(OWNERS):  # deletions first: what they leave is 404 afterwards, and not 403
        assert house.status(who, method, path) in {200, 202, 204, 404, 409}, (method, path)


def test_drains_and_metrics_are_for_administrators(house: House) -> None:
    for method, path in [*ADMINISTRATORS, ("GET", "/metrics")]:
        for user in TEAMS:
            assert house.status(token_of(user), method, path) == 403, (method, path, user)
        assert house.status(TOKEN, method, path) in {200, 202, 404}, (method, path)


def test_everybody_sees_every_run_and_no_token_of_anybody(house: House) -> None:
    tokens = [TOKEN, METRICS_TOKEN, *map(token_of, TEAMS)]
    hidden = [*tokens, *(hash_token(token.encode()) for token in tokens)]
    for method, path in READS:
        if path.endswith(FOLLOWED):
            continue
        answer = house.client(token_of("dan")).request(method, house.path(path + QUERIES.get(path, "")))
        assert answer.status_code in {200, 404}, (path, answer.text)  # 404: what this run has not recorded
        assert not [secret for secret in hidden if secret.encode() in answer.content], path
    with reading(house.service.engine) as session:
        events = [str(row) for row in session.execute(select(EventRow.__table__))]
    assert events  # what is followed
    assert not [secret for secret in hidden if any(secret in event for event in events)]
