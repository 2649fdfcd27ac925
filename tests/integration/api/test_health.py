"""Whether the process answers, and whether it can serve."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine

from api.app import create_app
from store.core.db import make_engine
from store.core.settings import Settings
from tests.support.api import TEST_HOST, TOKEN, Service


def anonymous(engine: Engine, home: Path, *, broker: bool = True) -> TestClient:
    settings = Settings(home=home, token=SecretStr(TOKEN), allowed_hosts=(TEST_HOST,))
    return TestClient(create_app(settings, engine, bell=lambda _: True, broker_answers=lambda _: broker))


def test_a_working_service_is_alive_and_ready(service: Service) -> None:
    assert service.anonymous.get("/v1/health/live").json() == {"status": "ok"}
    answer = service.anonymous.get("/v1/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok", "broker": "ok"})


def test_a_service_without_a_broker_is_ready_and_says_so(sqlite_engine: Engine, tmp_path: Path) -> None:
    answer = anonymous(sqlite_engine, tmp_path, broker=False).get("/v1/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok", "broker": "unavailable"})


@pytest.mark.parametrize(
    "url", ["postgresql://someone:secret@/db?host=/nowhere/at-all", "sqlite:////nowhere/at-all/x.db"]
)
def test_a_service_without_a_database_is_alive_and_not_ready(tmp_path: Path, url: str) -> None:
    client = anonymous(make_engine(url), tmp_path)
    assert client.get("/v1/health/live").status_code == 200
    answer = client.get("/v1/health/ready")
    assert (answer.status_code, answer.json()["database"]) == (503, "unavailable")
    assert "nowhere" not in answer.text


def test_a_service_on_tables_of_another_version_is_not_ready(database_url: str, tmp_path: Path) -> None:
    engine = make_engine(database_url)
    answer = anonymous(engine, tmp_path).get("/v1/health/ready")
    assert (answer.status_code, answer.json()["database"]) == (503, "not migrated")
    engine.dispose()
