"""What the API does while something behind it is broken."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from api.app import create_app
from api.health import broker_answers
from store.core.db import make_engine, upgrade
from store.core.settings import Settings
from store.operations.bell import ring
from tests.support.api import TEST_HOST, TOKEN, Service, make_service
from tests.support.servers import BrokerServer, PostgresServer
from tests.support.store import SPEC

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
DEAD_DATABASES = ["postgresql://someone:secret@/db?host=/nowhere/at-all", "sqlite:////nowhere/at-all/x.db"]


@pytest.fixture(params=DEAD_DATABASES, ids=["postgresql", "sqlite"])
def without_database(request: pytest.FixtureRequest, tmp_path: Path) -> TestClient:
    settings = Settings(home=tmp_path, token=SecretStr(TOKEN), allowed_hosts=(TEST_HOST,), database_url=request.param)
    return TestClient(create_app(settings, bell=lambda _: True, broker_answers=lambda _: True), headers=HEADERS)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/runs"),
        ("GET", f"/v1/runs/{'a' * 16}"),
        ("GET", f"/v1/runs/{'a' * 16}/figures/losses.png"),
        ("GET", f"/v1/batches/{'a' * 16}"),
        ("POST", f"/v1/runs/{'a' * 16}/cancel"),
        ("POST", "/v1/runs"),
        ("POST", "/v1/batches"),
    ],
)
def test_without_a_database_the_client_is_told_to_try_again(
    without_database: TestClient, method: str, path: str
) -> None:
    body = (
        {"/v1/runs": {"spec": SPEC}, "/v1/batches": {"runs": [{"spec": SPEC}]}}.get(path) if method == "POST" else None
    )
    answer = without_database.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "urn:ganclinic:problem:database-unavailable"
    assert "nowhere" not in answer.text
    assert "secret" not in answer.text


def test_without_a_database_requests_that_need_none_are_answered(without_database: TestClient) -> None:
    assert without_database.get("/v1/presets").status_code == 200
    assert without_database.post("/v1/runs", json={"preset": "nope"}).status_code == 422


def test_health_needs_no_token_and_says_that_the_database_is_gone(without_database: TestClient) -> None:
    answer = without_database.get("/v1/health", headers={"Authorization": ""})
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "database": "unavailable", "broker": "ok", "drained": False}


def test_a_working_service_is_healthy(service: Service) -> None:
    answer = service.anonymous.get("/v1/health")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ok", "database": "ok", "broker": "ok", "drained": False},
    )


def test_a_database_that_comes_back_is_used_again(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with postgres_server.database() as url:
        engine = make_engine(url)
        upgrade(engine)
        service = make_service(engine, tmp_path)
        assert service.client.get("/v1/runs").status_code == 200
        other = make_engine(url)
        with other.connect() as connection:  # as a restart of the server does to every connection
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            )
        other.dispose()
        assert service.client.post("/v1/runs", json={"spec": SPEC}).status_code == 202
    assert service.client.get("/v1/runs").status_code == 503  # dropped
    engine.dispose()


def test_readers_do_not_wait_for_a_writer(sqlite_service: Service) -> None:
    sqlite_service.client.post("/v1/runs", json={"spec": SPEC})
    with sqlite_service.engine.connect() as writer:
        writer.execute(text("UPDATE runs SET priority = 1"))
        assert sqlite_service.client.get("/v1/runs").json()["items"][0]["priority"] == 0
        writer.rollback()


# --- the broker -------------------------------------------------------------------------------------------------


def test_a_broker_that_answers_is_recognised(broker_server: BrokerServer, tmp_path: Path) -> None:
    assert broker_answers(Settings(home=tmp_path, broker_url=broker_server.url))


@pytest.mark.parametrize("url", ["redis+socket:///nowhere/at-all.sock", "redis://127.0.0.1:1/0"])
def test_without_a_broker_runs_are_taken_and_health_says_so(sqlite_url: str, tmp_path: Path, url: str) -> None:
    settings = Settings(
        home=tmp_path, token=SecretStr(TOKEN), allowed_hosts=(TEST_HOST,), database_url=sqlite_url, broker_url=url
    )
    engine = make_engine(sqlite_url)
    upgrade(engine)
    client = TestClient(create_app(settings, engine, bell=ring), headers=HEADERS)
    assert client.post("/v1/runs", json={"spec": SPEC}).status_code == 202
    health = client.get("/v1/health")
    assert health.status_code == 200
    assert health.json() == {"status": "ok", "database": "ok", "broker": "unavailable", "drained": False}
    engine.dispose()
