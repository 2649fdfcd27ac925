"""What a request must pass before anything reads its body: the token, and a limit of its size."""

import secrets
from typing import Literal

from fastapi.security import HTTPBearer
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import http_problem, problem_response
from store.scheduling.accounts import Accounts

OPEN_PATHS = frozenset({"/v1/health", "/v1/health/live", "/v1/health/ready"})
"""All that may be asked for without a token; a new route is protected unless it is named here."""
METRICS_PATH = "/metrics"
NO_METRICS = "Only administrators may read the metrics, and whoever has GANCLINIC_METRICS_TOKEN."
MAX_BODY_BYTES = 1024 * 1024
UPLOAD_PATHS = ("/v1/evaluations", "/v1/uploads")
LARGER_BODY_BYTES = {"/v1/batches": 8 * 1024 * 1024}

bearer = HTTPBearer(
    scheme_name="token",
    description="A user's token, or the service's own: GANCLINIC_TOKEN, else the file `token` in its state directory.",
    auto_error=False,
)
"""Describes in the OpenAPI document what `RequireToken` enforces."""


class RequireToken:
    """Answers 401 to a request without a token, and 403 to a user's for the metrics, before its body is read."""

    def __init__(
        self, app: ASGIApp, token: SecretStr, metrics_token: SecretStr | None = None, accounts: Accounts | None = None
    ) -> None:
        """`metrics_token` opens the metrics, as administrators' tokens do, and nothing else.

        `accounts`: who else than the owner of `token` has one.
        """
        self._app, self._accounts = app, accounts or Accounts()
        self._token = token.get_secret_value().encode()
        self._metrics_token = None if metrics_token is None else metrics_token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, or answers 401 (nobody's token) or 403 (the metrics are not for its user)."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            return await self._app(scope, receive, send)
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
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
        self._larger = {**LARGER_BODY_BYTES, **dict.fromkeys(UPLOAD_PATHS, max_upload_bytes)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, or answers 413: MAX_BODY_BYTES, for some paths more."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        limit = self._larger.get(scope["path"], MAX_BODY_BYTES)
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
