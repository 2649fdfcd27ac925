import gzip
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.app import create_app
from store.core.settings import Settings
from tests.support.api import TEST_HOST, TOKEN

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
FILES = {"index.html": b"<p>a page</p>", "app.0123456789abcdef.js": b"draw()", "style.0123456789abcdef.css": b"p{}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / "built"
    built.mkdir()
    for name, content in FILES.items():
        (built / name).write_bytes(content)
        (built / f"{name}.gz").write_bytes(gzip.compress(content))
    return built


def browser(home: Path, folder: Path) -> TestClient:
    settings = Settings(home=home, token=SecretStr(TOKEN), allowed_hosts=(TEST_HOST,))
    return TestClient(create_app(settings, pages_folder=folder))


@pytest.mark.parametrize("path", ["/", "/runs/0123456789abcdef"])
def test_every_page_is_the_same_document_under_the_strict_policy(tmp_path: Path, folder: Path, path: str) -> None:
    answer = browser(tmp_path, folder).get(path)
    assert (answer.status_code, answer.content) == (200, FILES["index.html"])
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


def test_the_document_is_sent_once_and_its_files_never_again(tmp_path: Path, folder: Path) -> None:
    client = browser(tmp_path, folder)
    first = client.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in first.headers
    again = client.get("/", headers={"If-None-Match": f"W/{first.headers['etag']}"})
    assert (again.status_code, again.content) == (304, b"")
    script = client.get("/assets/app.0123456789abcdef.js")
    assert script.headers["content-encoding"] == "gzip"
    assert script.content == FILES["app.0123456789abcdef.js"]
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    "name", ["index.html", "app.js", "app.0123456789abcdef.js.gz", "..%2Fbundle.py", "..%2f..%2f__init__.py"]
)
def test_nothing_but_the_built_files_is_served(tmp_path: Path, folder: Path, name: str) -> None:
    assert browser(tmp_path, folder).get(f"/assets/{name}").status_code in {401, 404}


def test_without_the_pages_the_service_says_how_to_get_them(tmp_path: Path) -> None:
    client = browser(tmp_path, tmp_path / "nothing")
    answer = client.get("/")
    assert answer.status_code == 503
    assert "make dashboard" in answer.text
    assert answer.headers["content-security-policy"] == POLICY
    assert client.get("/assets/app.js").status_code == 404
    assert client.get("/v1/presets", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_pages_that_are_not_there_are_not_open(tmp_path: Path, folder: Path) -> None:
    client = browser(tmp_path, folder)
    for path in ("/runs", "/runs/", "/runs/0123456789abcde", "/runs/0123456789abcdef/x", "/index.html", "/session/x"):
        assert client.get(path).status_code == 401, path
    assert client.get("/session").status_code == 405
