"""One request to the service: retried where that is safe, its errors translated. Private to the client."""

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from ganclinic.errors import (
    OUTAGES,
    ApiError,
    Conflict,
    InvalidInput,
    InvalidSpec,
    NotAllowed,
    NotAuthorised,
    NotFound,
    QuotaExceeded,
    ServiceFailed,
    ServiceUnreachable,
    TooLarge,
    UnexpectedAnswer,
)
from ganlib.wire.problems import Problem
from ganlib.wire.reading import read

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
EVENT_SILENCE_S = 60.0  # the service sends something every 15 s
UPLOAD_TIMEOUT_S = 600.0  # the service answers when it has unpacked and checked everything
RETRY_DELAYS_S = (0.2, 0.8)  # three tries within a second: a restarting API is back in about two, see `Client.watch`
LONGEST_RETRY_AFTER_S = 5.0
NEVER_SENT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
"""Requests that are wrong before anybody hears of them."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

ERRORS: dict[int, type[ApiError]] = {
    401: NotAuthorised,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: InvalidSpec,
    429: QuotaExceeded,
}

Query = Mapping[str, str | int | Sequence[str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A server-sent event; `id` is where a stream is gone on from."""

    kind: str
    """Empty: it only says where the stream is."""
    id: int | None
    """The last that came; None before the first."""
    data: str
    """Lines."""


class Transport:
    """An HTTP connection pool to one service."""

    def __init__(
        self,
        url: str,
        token: str | None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            transport=transport,
            # Over plain HTTP no certificate is looked at: to load those of the machine takes 20 ms, each time.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if urlsplit(self.url).scheme == "http" else True,
            trust_env=urlsplit(self.url).hostname not in LOOPBACK,  # a proxy cannot reach this machine's loopback
        )

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def get(self, path: str, query: Query | None = None) -> httpx.Response:
        """The answer to a GET; query values of None are left out.

        Raises:
            GanClinicError: see `ganclinic.errors`.
        """
        return self._send("GET", path, params={k: v for k, v in (query or {}).items() if v is not None})

    def post(
        self, path: str, *, body: Any = None, key: str | None = None, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> httpx.Response:
        """The answer to a POST that may be repeated: it has an idempotency key, or repeating it changes nothing."""
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        return self._send("POST", path, json=body, headers={"Idempotency-Key": key} if key else {}, timeout=timeout)

    def put(self, path: str, *, body: Any) -> httpx.Response:
        """The answer to a PUT."""
        return self._send("PUT", path, json=body)

    def download(self, path: str, file: Path) -> None:
        """Writes what a GET answers into the file, which is there once it is whole.

        Raises:
            InvalidInput: the file cannot be written.
            GanClinicError: see `ganclinic.errors`.
        """
        part = file.with_name(f".{file.name}.part")
        try:
            with self._http.stream("GET", path) as answer, part.open("wb") as opened:
                if not answer.is_success:
                    answer.read()
                for piece in _checked(answer).iter_bytes():
                    opened.write(piece)
            part.replace(file)
        except httpx.TransportError as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error
        except OSError as error:
            raise InvalidInput(f"{error.filename or file} cannot be written: {error.strerror}.") from None
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def events(self, path: str, query: Query, *, after: int | None) -> Iterator[Iterator[Event]]:
        """The server-sent events at that path, beginning after the one whose id is `after`, or where the path begins.

        Raises:
            GanClinicError: see `ganclinic.errors`; of a broken connection `ServiceUnreachable`, also between events.
        """
        given = {k: v for k, v in query.items() if v is not None}
        timeout = httpx.Timeout(EVENT_SILENCE_S, connect=CONNECT_TIMEOUT_S)
        try:
            headers = {} if after is None else {"Last-Event-ID": str(after)}
            with self._http.stream("GET", path, params=given, headers=headers, timeout=timeout) as answer:
                if not answer.is_success:
                    answer.read()
                yield read_events(_checked(answer).iter_lines())
        except httpx.TransportError as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error

    def delete(self, path: str) -> None:
        """Deletes what has that path. Where an answer was lost and the request repeated, it may be gone already."""
        self._send("DELETE", path)

    def upload(
        self, path: str, files: Mapping[str, Path], *, fields: Mapping[str, str], key: str | None = None
    ) -> httpx.Response:
        """The answer to a form with files, which are read while they are sent; it may be repeated, as for `post`.

        Raises:
            InvalidInput: a file cannot be read.
        """
        timeout = httpx.Timeout(UPLOAD_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        with ExitStack() as stack:
            for file in files.values():
                if file.is_dir():
                    raise InvalidInput(f"{file} is a folder; pack what is in it: zip -r samples.zip {file}")
            try:
                opened = {field: (file.name, stack.enter_context(file.open("rb"))) for field, file in files.items()}
            except OSError as error:
                raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}.") from None
            headers = {"Idempotency-Key": key} if key else {}
            return self._send("POST", path, files=opened, data=dict(fields), headers=headers, timeout=timeout)

    def send_once(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """The answer to one request, which the caller sends again where it has to. `parts` are those of httpx.

        Raises:
            GanClinicError: see `ganclinic.errors`.
        """
        try:
            return _checked(self._http.request(method, path, **parts))
        except httpx.TransportError as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error

    def _send(self, method: str, path: str, **parts: Any) -> httpx.Response:
        for delay_s in RETRY_DELAYS_S:
            try:
                answer = self._http.request(method, path, **parts)
            except NEVER_SENT as error:
                raise ServiceUnreachable(self.url, str(error)) from error
            except httpx.TransportError:
                self._sleep(delay_s)
                continue
            if not may_succeed_soon(answer):
                return _checked(answer)
            self._sleep(max(delay_s, _retry_after_s(answer) or 0.0))
        try:
            return _checked(self._http.request(method, path, **parts))
        except httpx.TransportError as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from error


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Server-sent events from their lines; one that is cut off at the end is none."""
    kind, data = "message", list[str]()
    number = told = None
    for line in lines:
        if not line:
            if data:
                yield Event(kind=kind, id=number, data="\n".join(data))
            elif number != told:
                yield Event(kind="", id=number, data="")
            kind, told, data = "message", number, []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            kind = value
        elif field == "id" and value.isdecimal():
            number = int(value)


def may_succeed_soon(answer: httpx.Response) -> bool:
    """Whether the same request may be answered otherwise in a few seconds, by what the answer says.

    An outage may be over then, unless a longer time is named. A 429 is one of two things: too many requests, with a
    time to wait, or a full quota without one, which is full until a run ends. Whatever else is refused stays refused.
    """
    wait_s = _retry_after_s(answer)
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return wait_s is not None and wait_s <= LONGEST_RETRY_AFTER_S
    return answer.status_code in OUTAGES and (wait_s is None or wait_s <= LONGEST_RETRY_AFTER_S)


def _retry_after_s(answer: httpx.Response) -> float | None:
    """What the answer asks to wait, in seconds; None where it does not say, or names a date."""
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    problem = _problem(answer)
    if problem is None:
        raise UnexpectedAnswer(str(answer.url), f"HTTP {answer.status_code}")
    kind = ServiceFailed if problem.status >= 500 else ERRORS.get(problem.status, ApiError)
    raise kind(problem)


def _problem(answer: httpx.Response) -> Problem | None:
    """The problem document in an answer; None where it holds none."""
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    known = {"title": answer.reason_phrase, "status": answer.status_code}
    try:
        return read(Problem, known | document_of(answer))
    except ValidationError:
        return None


def document_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in an answer.

    Raises:
        UnexpectedAnswer: it holds something else.
    """
    try:
        document = answer.json()
    except ValueError:
        raise UnexpectedAnswer(str(answer.url), "something that is not JSON") from None
    if not isinstance(document, dict):
        raise UnexpectedAnswer(str(answer.url), "JSON that is no object")
    return cast("dict[str, Any]", document)
