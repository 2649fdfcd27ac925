"""Clients that send next to nothing, for ever: they keep no connection, and who is only slow is served."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.http.patience import REQUEST_S
from tests.support.api_process import environment_of, migrate, serving, token_of

PAUSE_S = 0.25
SLACK_S = 30.0  # a machine that is busy; without a limit a test would go on for its five minutes
GET = b"GET /v1/presets HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HEALTHY = b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("slowness")
    environment = environment_of(f"sqlite:///{folder / 'ganclinic.db'}", folder)
    migrate(environment)
    with serving(environment, folder / "api.log"):
        yield environment


def connect(environment: dict[str, str]) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(environment["GANCLINIC_PORT"])), timeout=10)


def seconds_until_closed(connection: socket.socket, bytes_one_by_one: bytes) -> float:
    """Of a connection on which one byte after the other is sent, as long as there are some."""
    began = time.monotonic()
    connection.settimeout(PAUSE_S)
    following = iter(bytes_one_by_one)
    while time.monotonic() - began < REQUEST_S + SLACK_S:
        try:
            connection.sendall(bytes([byte]) if (byte := next(following, None)) is not None else b"")
            if connection.recv(65_536) == b"":
                break
            time.sleep(PAUSE_S)
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            break
    return time.monotonic() - began


SLOW = {
    "nothing at all": (b"", b""),
    "headers": (GET, b"X-Slow: " + b"x" * 10_000),
    "a first line": (b"", b"GET /" + b"x" * 10_000),
    "headers after an answer": (HEALTHY + GET, b"X-Slow: " + b"x" * 10_000),
    "a body that nobody wants": (POST + b"Content-Length: 100000\r\n\r\n", b" " * 10_000),  # for want of a token
    "pieces of a body that nobody wants": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000),
}


@pytest.mark.slow
def test_who_sends_a_byte_now_and_then_keeps_no_connection(environment: dict[str, str]) -> None:
    connections = [connect(environment) for _ in SLOW]
    for connection, (begin, _) in zip(connections, SLOW.values(), strict=True):
        connection.sendall(begin)
    with ThreadPoolExecutor(len(SLOW)) as pool:
        took = pool.map(seconds_until_closed, connections, [more for _, more in SLOW.values()])
        seconds = dict(zip(SLOW, took, strict=True))
    for connection in connections:
        connection.close()
    assert all(REQUEST_S / 2 < each < REQUEST_S + SLACK_S / 2 for each in seconds.values()), seconds


@pytest.mark.slow
def test_a_request_that_somebody_answers_may_take_its_time(environment: dict[str, str]) -> None:
    """An upload through a narrow line, and whoever follows a log, are not cut off."""
    body = b" " * int(1.3 * REQUEST_S / PAUSE_S) + b"{}"
    authorization = b"Authorization: Bearer " + token_of(environment).encode() + b"\r\n"
    with connect(environment) as connection:
        connection.sendall(POST + authorization + b"Content-Length: %d\r\n\r\n" % len(body))
        for byte in body:
            connection.sendall(bytes([byte]))
            time.sleep(PAUSE_S)
        assert connection.recv(100).startswith(b"HTTP/1.1 422 ")
        connection.sendall(HEALTHY)  # on the same connection
        assert b"HTTP/1.1 200 " in connection.recv(65_536) + connection.recv(65_536)
