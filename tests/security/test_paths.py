"""Ids and names as paths: nothing that a path, a query or a body names reaches a file or another table."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.openapi import openapi_document
from tests.support.api import Service
from tests.support.api_process import environment_of, migrate, serving, token_of
from tests.support.store import SPEC

HOSTILE = [
    "..",
    "../..",
    "..%2f..%2ftoken",
    "%2e%2e%2f%2e%2e%2ftoken",
    "%2e%2e%5ctoken",
    "..%252f..%252ftoken",
    "..%c0%afetc",
    "....//....//token",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "token%00.png",
    "%00",
    "%0a",
    "..;/token",
    "~root",
    "C:%5cWindows",
    "token?x=..%2f",
    "a" * 4000,
]
PARAMETERS = (
    "{run_id}",
    "{batch_id}",
    "{upload_id}",
    "{evaluation_id}",
    "{treatment_id}",
    "{name}",
    "{epoch}",
    "{format}",
)
ROUTES = [
    (method.upper(), path)
    for path, item in openapi_document()["paths"].items()
    for method in item
    if "{" in path and not path.endswith("/stream")
]


def places(template: str, hostile: str) -> Iterator[str]:
    """The path with each of its parameters, and all of them, replaced by what is hostile."""
    plain = dict.fromkeys(PARAMETERS, "0" * 16) | {"{epoch}": "1", "{format}": "png"}
    used = [name for name in PARAMETERS if name in template]
    for replaced in [*([name] for name in used), used]:
        path = template
        for name in used:
            path = path.replace(name, hostile if name in replaced else plain[name])
        yield path


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("paths")
    environment = environment_of(f"sqlite:///{folder / 'ganclinic.db'}", folder)
    migrate(environment)
    with serving(environment, folder / "api.log"):
        yield environment


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: text[:30])
def test_no_path_leads_to_a_file(environment: dict[str, str], hostile: str) -> None:
    # Over a bare socket: clients tidy paths up before they send them.
    token = token_of(environment)
    home = Path(environment["GANCLINIC_HOME"])
    before = sorted(path for path in home.rglob("*") if path.is_file())
    for method, template in ROUTES:
        for path in places(template, hostile):
            status, answer = exchange(environment, f"{method} {path}", token)
            assert 400 <= status < 500, (method, path, answer[:300])
            assert token.encode() not in answer
            assert b"root:" not in answer
    assert sorted(path for path in home.rglob("*") if path.is_file()) == before


def exchange(environment: dict[str, str], line: str, token: str) -> tuple[int, bytes]:
    """Status and whole answer to a request without a body."""
    with socket.create_connection(("127.0.0.1", int(environment["GANCLINIC_PORT"])), timeout=30) as connection:
        head = f"{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize("name", ["../../token", "/etc/passwd", "..\\token", "C:\\x", "a/b", "~/x", "%2e%2e%2ftoken"])
def test_a_name_for_people_is_no_path(sqlite_service: Service, name: str) -> None:
    home = sqlite_service.settings.home
    answer = sqlite_service.client.post("/v1/runs", json={"spec": SPEC, "name": name})
    assert answer.status_code == 202
    assert answer.json()["name"] == name
    answer = sqlite_service.client.post("/v1/runs", json={"preset": name})
    assert (answer.status_code, name in answer.json()["detail"]) == (422, True)
    assert [path.name for path in home.rglob("*") if path.is_file() and not path.name.startswith("ganclinic.db")] == []


@pytest.mark.parametrize("upload", ["../" * 5 + "x", "0" * 16 + "/..", "/etc/passwd", "\0" * 16, "0" * 16])
def test_a_spec_names_no_file(sqlite_service: Service, upload: str) -> None:
    dataset = {"name": "upload", "upload": upload}
    assert sqlite_service.client.post("/v1/runs", json={"spec": {**SPEC, "dataset": dataset}}).status_code == 422
