"""What a request must pass before anything reads its body: the token, and a limit of its size."""

import re
import secrets
from typing import Literal

from fastapi.security import HTTPBearer
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import http_problem, problem_response
from api.http.hosts import READING, Authority, KnownHosts
from api.http.sessions import Sessions
from store.scheduling.accounts import Accounts, Caller

OPEN_PATHS = frozenset({"/v1/health", "/v1/health/live", "/v1/health/ready"})
"""All that may be asked for without a token; a new route is protected unless it is named here."""
PAGES = re.compile(
    r"/(|new|compare|findings|server|runs/[0-9a-f]{16}|batches/[0-9a-f]{16}"
    r"|assets/[A-Za-z0-9._-]{1,80}|session|open/[0-9a-f]{64}(/[0-9a-f]{16})?)"
)
"""Paths of the dashboard, which holds nothing of the service's own: what it shows it asks the API for."""
METRICS_PATH = "/metrics"
FOREIGN_PAGE = "A session changes something only from a page of the service, by its Origin. Scripts send a token."
NO_METRICS = "Only administrators may read the metrics, and whoever has GANCLINIC_METRICS_TOKEN."
MAX_BODY_BYTES = 1024 * 1024
UPLOAD_PATHS = ("/v1/evaluations", "/v1/uploads")
WATCHED_EPOCH = re.compile(r"/v1/watched-runs/[0-9a-f]{16}/epochs/\d{1,16}")
"""Comes with samples."""
LARGER_BODY_BYTES = {"/v1/batches": 8 * 1024 * 1024}

bearer = HTTPBearer(
    scheme_name="token",
    description="A user's token, or the service's own: GANCLINIC_TOKEN, else the file `token` in its state directory.",
    auto_error=False,
)
"""Describes in the OpenAPI document what `RequireToken` enforces."""


class RequireToken:
    """Answers 401 to a request without a token or a session, and 403 to one that may not, before its body is read."""

    def __init__(
        self,
        app: ASGIApp,
        token: SecretStr,
        sessions: Sessions,
        hosts: KnownHosts,
        metrics_token: SecretStr | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        """`metrics_token` opens the metrics, as administrators' tokens do, and nothing else.

        `accounts`: who else than the owner of `token` has one. `sessions`: of those who gave theirs to a page, which
        lies at one of `hosts`.
        """
        self._app, self._sessions, self._hosts, self._accounts = app, sessions, hosts, accounts or Accounts()
        self._token = token.get_secret_value().encode()
        self._metrics_token = None if metrics_token is None else metrics_token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, or answers 401 (nobody's token or session) or 403 (it may not)."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or PAGES.fullmatch(scope["path"]):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if "authorization" not in headers and (caller := self._caller_of_session(headers)) is not None:
            return await self._serve_session(caller, scope, receive, send)
        status = self._status(given.strip().encode(), scope) if scheme.lower() == "bearer" else 401
        if status == 200:
            return await self._app(scope, receive, send)
        if status == 403:
            return await problem_response(http_problem(403, NO_METRICS), scope)(scope, receive, send)
        if given:
            problem, challenge = (
                http_problem(401, "The token is not the one of this service."),
                ', error="invalid_token"',
            )
        else:
            problem, challenge = http_problem(401, "Send the header 'Authorization: Bearer <token>'."), ""
        headers = {"WWW-Authenticate": f'Bearer realm="ganclinic"{challenge}'}
        return await problem_response(problem, scope, headers)(scope, receive, send)

    def _caller_of_session(self, headers: Headers) -> Caller | None:
        return self._sessions.caller(cookie_parser(headers.get("cookie", "")).get(self._sessions.cookie, ""))

    async def _serve_session(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves what a browser asks for with its cookie, which it also sends for pages of other ports of the host."""
        refusal = None
        if scope["path"] == METRICS_PATH and not caller.administrator:
            refusal = NO_METRICS
        elif scope["method"] not in READING and not self._is_from_our_page(Headers(scope=scope)):
            refusal = FOREIGN_PAGE
        if refusal is not None:
            return await problem_response(http_problem(403, refusal), scope)(scope, receive, send)
        scope.setdefault("state", {})["caller"] = caller
        return await self._app(scope, receive, send)

    def _is_from_our_page(self, headers: Headers) -> bool:
        host = Authority.read(headers.get("host", ""))
        origins = headers.getlist("origin")
        return bool(origins) and all(self._hosts.has_own_page(origin, host) for origin in origins)

    def _status(self, given: bytes, scope: Scope) -> Literal[200, 401, 403]:
        """200 where the token opens the path, 401 where it is nobody's, 403 where it is somebody's who may not.

        Whose it is, is noted in the scope's state.
        """
        if not given:  # nobody's, whatever the secrets are
            return 401
        is_metrics = scope["path"] == METRICS_PATH
        if is_metrics and self._metrics_token and secrets.compare_digest(given, self._metrics_token):
            return 200
        caller = self._accounts.caller(given, self._token)
        scope.setdefault("state", {})["caller"] = caller
        if caller is None:
            return 401
        return 403 if is_metrics and not caller.administrator else 200


class LimitBody:
    """Answers 413 to a request whose body is too large, declared or not."""

    def __init__(self, app: ASGIApp, max_upload_bytes: int) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes
        self._larger = {**LARGER_BODY_BYTES, **dict.fromkeys(UPLOAD_PATHS, max_upload_bytes)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, or answers 413: MAX_BODY_BYTES, for some paths more."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        is_epoch = WATCHED_EPOCH.fullmatch(scope["path"]) is not None
        limit = self._max_upload_bytes if is_epoch else self._larger.get(scope["path"], MAX_BODY_BYTES)
        detail = f"The body may have {limit:,} bytes."
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            return await problem_response(http_problem(413, detail), scope)(scope, receive, send)
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413, detail)
            return message

        return await self._app(scope, receive_limited, send)
