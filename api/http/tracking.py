"""Around every request: an id that is answered and logged, a line in the log, a count in the metrics, a span."""

import logging
import re
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.request_metrics import RequestMetrics
from store.operations import tracing
from store.operations.logging import add_context
from store.operations.tracing import Span

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
PREFIX = "/v1/"
QUIET = ("/v1/health", "/metrics")
"""What machines ask for every few seconds is logged at level DEBUG."""

logger = logging.getLogger(__name__)


class Tracking:
    """Gives each request its id: the header `X-Request-ID` where it is sane, else a new one."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, then counts and logs it: method, path, status, milliseconds."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = choose_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        add_context(request=request_id)  # each request is served by a task of its own: nothing is to be taken back
        status = 499  # the client was gone before there was an answer
        started_at = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        path = quote(scope["path"], errors="replace")
        is_quiet = path.startswith(QUIET)
        with nullcontext(Span()) if is_quiet else _span_of(scope, path, request_id) as span:
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                seconds = time.perf_counter() - started_at
                self._metrics.observe(scope["method"], route_of(scope), status, seconds)
                level = logging.DEBUG if is_quiet else logging.INFO
                logger.log(level, "%s %s %d in %.1f ms", _word(scope["method"]), path, status, 1000 * seconds)
                _note_answer(span, scope, status)


def _span_of(scope: Scope, path: str, request_id: str) -> AbstractContextManager[Span]:
    """Below the caller's own span, where the caller sends its context."""
    method = _word(scope["method"])
    attributes = {"http.request.method": method, "url.path": path, "ganclinic.request": request_id}
    given = Headers(scope=scope).get(tracing.HEADER)
    return tracing.span(method, attributes, traceparent=given, is_request=True)


def _note_answer(span: Span, scope: Scope, status: int) -> None:
    """With the names that OpenTelemetry has for them."""
    span.note({"http.response.status_code": status})
    if (route := route_of(scope)) is not None:
        span.rename(f"{_word(scope['method'])} {route}")
        span.note({"http.route": route})
    if run_id := scope.get("path_params", {}).get("run_id"):
        span.note({tracing.RUN: run_id})
    if status >= 500:
        span.fail(f"answered with {status}")


def choose_id(given: str | None) -> str:
    """The given id where it is 1 to 64 letters, digits, dots, dashes and underscores; else 16 random hex digits."""
    return given if given is not None and REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def route_of(scope: Scope) -> str | None:
    """The template of the route that served the request, e.g. `/v1/runs/{run_id}`; None where none did."""
    template: str | None = getattr(scope.get("route"), "path", None)
    if template is None or template.startswith(PREFIX) or not scope["path"].startswith(PREFIX):
        return template
    return PREFIX + template.removeprefix("/")  # a route knows its path below the router that it was included in


def _word(method: str) -> str:
    return method if method.isalpha() else "?"
