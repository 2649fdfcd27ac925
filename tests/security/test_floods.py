"""Requests that were made to keep a server busy or to fill its memory: they are refused soon, and others are served."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.api_process import client, environment_of, migrate, serving, token_of

MIB = 1024**2
PATIENCE_S = 30.0
GROWTH = 200 * MIB
PART = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n'
SECOND = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
FORMS = {
    "parts without end": ((PART % b"name" + b"\r\nx\r\n") * 100_000, 422, "name: is given twice"),
    "parts of unknown names": (
        b"".join(PART % b"x%d" % n + b"\r\nx\r\n" for n in range(50_000)),
        422,
        "x0: is not a field here",
    ),
    "a header without end": (PART % b"file" + b"X: " + b"x" * 8 * MIB, 400, "Maximum header size exceeded"),
    "headers without end": (PART % b"file" + b"X: x\r\n" * 500_000, 400, "Maximum header count exceeded"),
    "a name without end": (
        b'--b\r\nContent-Disposition: form-data; name="' + b"n" * 4 * MIB,
        400,
        "Maximum header size exceeded",
    ),
    "breaks before the first boundary": (b"\r\n" * 4 * MIB, 400, "it ends too early"),
    "breaks after the last boundary": (
        PART % b"name" + b"\r\nx\r\n--b--" + b"\r\n" * 4 * MIB,
        422,
        "file: is missing",
    ),
    "almost the boundary": (PART % b"file" + b"\r\n" + b"\r\n--" * MIB, 400, "it ends too early"),
    "a text without end": (PART % b"name" + b"\r\n" + b"x" * 8 * MIB, 422, "name: is too long"),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("floods")
    environment = environment_of(f"sqlite:///{folder / 'ganclinic.db'}", folder)
    migrate(environment)
    with serving(environment, folder / "api.log") as process:
        yield environment | {"PID": str(process.pid)}


@pytest.fixture
def http(environment: dict[str, str]) -> Iterator[httpx.Client]:
    """A client; the service is well and has kept nothing when the test is over."""
    before, began = memory(environment), time.monotonic()
    with client(environment) as http:
        yield http
        assert http.get("/v1/health/ready").status_code == 200
    assert memory(environment) - before < GROWTH
    assert time.monotonic() - began < PATIENCE_S


def memory(environment: dict[str, str]) -> int:
    """Bytes of memory that the service has had at most."""
    status = Path(f"/proc/{environment['PID']}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.parametrize("ranges", ["0-0," * 5000, "0-," * 10_000, "-1," * 1000, "0-18446744073709551615", "9-1", "x"])
def test_ranges_change_no_answer(http: httpx.Client, ranges: str) -> None:
    plain, ranged = (http.get("/v1/openapi.json", headers=headers) for headers in ({}, {"Range": f"bytes={ranges}"}))
    assert (ranged.status_code, ranged.content) == (200, plain.content)


@pytest.mark.parametrize(("content", "status", "said"), FORMS.values(), ids=FORMS)
def test_a_form_that_floods_is_refused(
    environment: dict[str, str], http: httpx.Client, content: bytes, status: int, said: str
) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = http.post("/v1/uploads", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]
    assert list(Path(environment["GANCLINIC_HOME"], "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("multipart/form-data", 415),
        ("multipart/form-data; boundary=", 415),
        ("multipart/form-data; boundary=" + "b" * 10_000, 400),
        ("multipart/form-data" + "; a=b" * 8000 + "; boundary=b", 400),
        ("multipart/mixed; boundary=b", 415),
        ('multipart/form-data; boundary="\\' + '\\"' * 5000, 400),
    ],
)
def test_no_boundary_or_a_strange_one_is_refused(http: httpx.Client, kind: str, status: int) -> None:
    answer = http.post("/v1/uploads", content=b"x" * 1000, headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(
    "flood",
    [b"X: x\r\n" * 200_000, b"X: " + b"x" * 4 * MIB, b"Cookie: a=b\r\n" * 100_000, b"Authorization: " + b"B" * MIB],
    ids=["many headers", "a long header", "many cookies", "a long token"],
)
def test_headers_that_flood_are_refused(environment: dict[str, str], http: httpx.Client, flood: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(environment["GANCLINIC_PORT"])), timeout=10) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is closed before all has been sent
            connection.sendall(b"GET /v1/runs HTTP/1.1\r\nHost: localhost\r\n" + flood)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: +5\r\n\r\nabcde",
        b"Transfer-Encoding: chunked\r\n\r\n5xx\r\nabcde\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX0\r\n\r\n",
        b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    ],
)
def test_a_body_whose_end_is_unclear_is_never_two_requests(
    environment: dict[str, str], http: httpx.Client, framing: bytes
) -> None:
    head = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token_of(environment).encode()
    with socket.create_connection(("127.0.0.1", int(environment["GANCLINIC_PORT"])), timeout=10) as connection:
        connection.sendall(head + b"\r\nContent-Type: application/json\r\n" + framing)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400 ")
