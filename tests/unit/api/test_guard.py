"""What nobody passes without a token, and what nobody passes at all. No database is touched."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine

from api.app import create_app
from api.http.auth import LARGER_BODY_BYTES, MAX_BODY_BYTES, OPEN_PATHS, UPLOAD_PATHS
from store.core.settings import Settings
from tests.support.api import TEST_HOST

TOKEN = "correct-horse"
MAX_UPLOAD_BYTES = 2 * 1024**2
PROBLEM = "application/problem+json"
DASHBOARD = {
    *("/", "/new", "/compare", "/findings", "/server", "/runs/{run_id}", "/batches/{batch_id}"),
    *("/assets/{name}", "/session", "/open/{key}", "/open/{key}/{run_id}"),
}
"""Hold nothing of the service's own: tests/security/test_sessions.py has what they give."""


def unconnected_engine() -> Engine:
    def refuse() -> None:
        raise AssertionError("the database was touched")

    return create_engine("sqlite://", creator=refuse)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    settings = Settings(
        home=tmp_path, token=SecretStr(TOKEN), allowed_hosts=(TEST_HOST,), max_upload_bytes=MAX_UPLOAD_BYTES
    )
    return create_app(settings, unconnected_engine(), bell=lambda _: True, broker_answers=lambda _: True)


@pytest.fixture
def anonymous(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"})


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route that the app serves."""
    return [(m, str(r.path)) for r in iter_route_contexts(app.routes) for m in sorted(r.methods or ())]


def test_every_route_but_health_needs_a_token(app: FastAPI, anonymous: TestClient) -> None:
    found = routes(app)
    assert len(found) >= 18
    assert ("GET", "/v1/health") in found
    assert {path for _, path in found if not path.startswith(("/v1/", "/metrics"))} == DASHBOARD
    for method, path in found:
        if path in OPEN_PATHS | DASHBOARD:
            continue
        answer = anonymous.request(
            method,
            path.format(
                run_id="a" * 16,
                batch_id="b" * 16,
                evaluation_id="c" * 16,
                upload_id="d" * 16,
                treatment_id="e" * 16,
                webhook_id="f" * 16,
                watched_run_id="f" * 16,
                sequence=1,
                epoch=1,
                format="png",
                name="x",
                index=0,
            ),
        )
        assert answer.status_code == 401, (method, path)
        assert answer.headers["content-type"] == PROBLEM
        assert answer.headers["www-authenticate"] == 'Bearer realm="ganclinic"'
        assert answer.json()["instance"].startswith(("/v1/", "/metrics"))


@pytest.mark.parametrize(
    "path", sorted(path for path in DASHBOARD if not path.startswith(("/assets", "/open", "/session")))
)
def test_every_page_is_there_without_a_token_to_ask_for_one(anonymous: TestClient, path: str) -> None:
    answer = anonymous.get(path.format(run_id="a" * 16, batch_id="b" * 16))
    assert answer.headers["content-type"].startswith("text/html"), answer.text


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH"])
def test_what_is_not_possible_at_an_address_names_all_that_is(app: FastAPI, client: TestClient, method: str) -> None:
    for path, item in app.openapi()["paths"].items():
        answer = client.request(method, re.sub(r"\{\w+\}", "1", path))
        assert answer.status_code == 405, path
        named = set(answer.headers["allow"].split(", "))
        assert {each.upper() for each in item} <= named, path
    assert client.request(method, "/v1/runs").headers["allow"] == "GET, POST"
    assert client.request(method, "/metrics").headers["allow"] == "GET"
    assert client.request(method, "/v1/nothing").status_code == 404


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/nothing", "/docs", "/openapi.json", "/v1/health/", "//v1/health", "/v1/Health"]
)
def test_even_an_address_without_a_route_needs_a_token(anonymous: TestClient, path: str) -> None:
    assert anonymous.get(path).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \u00e9\u00e8",
    ],
)
def test_any_other_token_is_refused(anonymous: TestClient, header: str) -> None:
    answer = anonymous.get("/v1/presets", headers={b"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_the_scheme_is_not_case_sensitive(anonymous: TestClient) -> None:
    assert anonymous.get("/v1/presets", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_the_token_is_asked_for_before_the_body_is_read(anonymous: TestClient) -> None:
    assert anonymous.post("/v1/runs", content=b"{").status_code == 401
    assert anonymous.post("/v1/runs", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 401


def test_without_a_token_in_the_settings_one_is_made_that_only_its_owner_can_read(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path / "home", allowed_hosts=(TEST_HOST,)), unconnected_engine())
    file = tmp_path / "home" / "token"
    assert file.stat().st_mode & 0o777 == 0o600
    headers = {"Authorization": f"Bearer {file.read_text().strip()}"}
    assert TestClient(app, headers=headers).get("/v1/presets").status_code == 200
    assert TestClient(app).get("/v1/presets").status_code == 401


# --- bodies -----------------------------------------------------------------------------------------------------


def chunks(size: int) -> Iterator[bytes]:
    """So many bytes without a declared length."""
    for _ in range(size // 65_536):
        yield b"x" * 65_536


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/runs", "application/json"),
        ("/v1/batches", "application/json"),
        ("/v1/evaluations", "multipart/form-data; boundary=b"),
        ("/v1/uploads", "multipart/form-data; boundary=b"),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused(client: TestClient, path: str, kind: str, declared: bool) -> None:
    limit = {**LARGER_BODY_BYTES, **dict.fromkeys(UPLOAD_PATHS, MAX_UPLOAD_BYTES)}.get(path, MAX_BODY_BYTES)
    field = {"/v1/evaluations": b"real", "/v1/uploads": b"file"}.get(path)
    start = b'"' if field is None else b'--b\r\nContent-Disposition: form-data; name="%s"; filename="x"\r\n\r\n' % field
    parts = [start, *chunks(limit + 65_536)]
    answer = client.post(path, content=b"".join(parts) if declared else iter(parts), headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)
    assert f"{limit:,} bytes" in answer.json()["detail"]


def test_uploads_may_be_larger_than_anything_else_and_nothing_else_may(client: TestClient) -> None:
    assert client.post("/v1/evaluations/x/cancel", content=bytes(MAX_BODY_BYTES + 1)).status_code == 413
    assert client.post("/v1/evaluations", content=bytes(MAX_BODY_BYTES + 1)).status_code == 415


def test_a_batch_may_be_larger_than_a_run(client: TestClient) -> None:
    body = b"[" + b" " * (MAX_BODY_BYTES + 1) + b"]"
    headers = {"Content-Type": "application/json"}
    assert client.post("/v1/runs", content=body, headers=headers).status_code == 413
    assert client.post("/v1/batches", content=body, headers=headers).status_code == 422


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/batches"])
@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application", "json/"]
)
def test_a_body_that_is_not_declared_as_json_is_refused(
    client: TestClient, path: str, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = client.post(path, content=b"{}", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (415, PROBLEM)
    assert answer.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/vnd.x+json"]
)
def test_every_way_to_declare_json_is_taken(client: TestClient, content_type: str) -> None:
    assert client.post("/v1/runs", content=b"{}", headers={"Content-Type": content_type}).status_code == 422


def test_a_missing_body_is_named(client: TestClient) -> None:
    answer = client.post("/v1/runs")
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "body", "message": "Field required"}])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"preset": }', "at character 11"),
        (b"", "required"),
        (b"nonsense", "not JSON"),
        (b'{"preset": "\xff"}', "parsing"),
        (b"[" * 100_000, "parsing"),
        (b'{"spec": {"seed": ' + b"9" * 5000 + b"}}", "parsing"),
    ],
)
def test_a_body_that_is_not_json_is_refused(client: TestClient, body: bytes, words: str) -> None:
    answer = client.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == (422 if body == b"" else 400)
    assert answer.headers["content-type"] == PROBLEM
    assert words in answer.json()["detail"]


# --- errors of the framework ------------------------------------------------------------------------------------


def test_an_address_without_a_route_is_a_problem_document(client: TestClient) -> None:
    answer = client.get("/v1/nothing%20here")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this address.",
        "instance": "/v1/nothing%20here",
    }


def test_no_address_redirects(client: TestClient) -> None:
    assert client.get("/v1/runs/", follow_redirects=False).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_a_wrong_method_is_a_problem_document_with_the_right_ones(client: TestClient, method: str) -> None:
    answer = client.request(method, "/v1/presets")
    assert (answer.status_code, answer.headers["content-type"]) == (405, PROBLEM)
    assert answer.headers["allow"] == "GET"


def test_an_error_that_nobody_expected_is_a_problem_document_that_gives_nothing_away(app: FastAPI) -> None:
    client = TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}, raise_server_exceptions=False)
    answer = client.get("/v1/runs")  # the engine raises AssertionError
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert "database was touched" not in answer.text
