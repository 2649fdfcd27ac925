"""What a request must pass before anything reads its body: the token, and a limit of its size."""

import secrets

from fastapi.security import HTTPBearer
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import http_problem, problem_response

OPEN_PATHS = frozenset({"/v1/health"})
"""All that may be asked for without a token; a new route is protected unless it is named here."""
MAX_BODY_BYTES = 1024 * 1024
UPLOAD_PATHS = ("/v1/evaluations", "/v1/uploads")
LARGER_BODY_BYTES = {"/v1/batches": 8 * 1024 * 1024}

bearer = HTTPBearer(
    scheme_name="token",
    description="The token of the service: GANCLINIC_TOKEN, else the file `token` in its state directory.",
    auto_error=False,
)
"""Describes in the OpenAPI document what `RequireToken` enforces."""


class RequireToken:
    """Answers 401 to a request without the token, before its body is read."""

    def __init__(self, app: ASGIApp, token: SecretStr) -> None:
        self._app = app
        self._token = token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, or refuses it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            return await self._app(scope, receive, send)
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), self._token):
            return await self._app(scope, receive, send)
        if given:
            problem, challenge = (
                http_problem(401, "The token is not the one of this service."),
                ', error="invalid_token"',
            )
        else:
            problem, challenge = http_problem(401, "Send the header 'Authorization: Bearer <token>'."), ""
        headers = {"WWW-Authenticate": f'Bearer realm="ganclinic"{challenge}'}
        return await problem_response(problem, scope, headers)(scope, receive, send)


class LimitBody:
    """Answers 413 to a request whose body is too large, declared or not."""

    def __init__(self, app: ASGIApp, max_upload_bytes: int) -> None:
        self._app = app
        self._larger = {**LARGER_BODY_BYTES, **dict.fromkeys(UPLOAD_PATHS, max_upload_bytes)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, or refuses it."""
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
