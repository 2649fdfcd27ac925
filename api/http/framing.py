"""Where a request ends: one whose headers say it twice is refused, and its connection closed.

A proxy that believes `Content-Length` where the server believes `Transfer-Encoding` takes the rest of one request for
the next, of somebody else (request smuggling; RFC 9112, section 6.1, lets a server refuse both).
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import http_problem, problem_response

UNCLEAR = "The request has both Content-Length and Transfer-Encoding. Send one of them."


class RequireOneLength:
    """Answers 400 to a request with both `Content-Length` and `Transfer-Encoding`, and closes its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request, or answers 400."""
        headers = Headers(raw=scope.get("headers", []))
        if "content-length" in headers and "transfer-encoding" in headers:
            answer = problem_response(http_problem(400, UNCLEAR), scope, {"Connection": "close"})
            return await answer(scope, receive, send)
        return await self._app(scope, receive, send)
