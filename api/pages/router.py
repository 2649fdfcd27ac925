"""The dashboard: one document for every page, its files, and the session that it begins with a token or a link."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from api.errors import http_problem, problem_response
from api.http.etag import IMMUTABLE, has_tag
from api.http.sessions import LIFE, Sessions
from api.pages import links
from api.pages.bundle import BuiltFile, Bundle
from api.pages.notes import LINK_IS_OVER, NO_PAGES

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
REVALIDATE = "no-cache"
NEVER_STORED = "no-store"


def make_router(bundle: Bundle | None, sessions: Sessions, links_folder: Path, clock: Callable[[], float]) -> APIRouter:
    """The routes of the dashboard; without a bundle, `/` says how to get one.

    `clock`: seconds since 1970.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/compare")
    @router.get("/findings")
    @router.get("/new")
    @router.get("/server")
    @router.get("/batches/{batch_id}")
    @router.get("/runs/{run_id}")
    async def get_page(request: Request) -> Response:
        """The document, which holds nothing of the service's own: its script asks for that, with a session."""
        if bundle is None:
            return _note(NO_PAGES, 503)
        return _file_response(request, bundle.page, REVALIDATE)

    @router.get("/assets/{name}")
    async def get_asset(request: Request, name: str) -> Response:
        """A file that the document names."""
        found = None if bundle is None else bundle.assets.get(name)
        if found is None:
            return problem_response(http_problem(404, "There is no such file."), request.scope)
        return _file_response(request, found, IMMUTABLE.replace("private", "public"))

    @router.post("/session")
    async def begin_session(request: Request, token: Annotated[str, Form(max_length=1000)]) -> Response:
        """Begin a session with a token; the answer's cookie stands for it."""
        cookie = sessions.begin(token.strip())
        if cookie is None:
            return problem_response(http_problem(401, "The token is not one of this service."), request.scope)
        return _with_session(Response(status_code=204, headers=HEADERS), request, cookie)

    @router.delete("/session")
    async def end_session(request: Request) -> Response:
        """Have the browser forget its session."""
        response = Response(status_code=204, headers=HEADERS)
        response.delete_cookie(sessions.cookie, httponly=True, samesite="strict", secure=_is_secure(request))
        return response

    @router.get("/open/{key}")
    @router.get("/open/{key}/{run_id}")
    def open_link(request: Request, key: str, run_id: str | None = None) -> Response:
        """Begin a session with a link of `ganclinic open`, and go on to the run."""
        if not links.take(links_folder, key, clock()):
            return _note(LINK_IS_OVER, 403)
        address = "/" if run_id is None else f"/runs/{quote(run_id, safe='')}"
        answer = RedirectResponse(address, status_code=303, headers=HEADERS)
        return _with_session(answer, request, sessions.begin_as_administrator())

    def _with_session(response: Response, request: Request, cookie: str) -> Response:
        response.headers["Cache-Control"] = NEVER_STORED
        response.set_cookie(
            sessions.cookie,
            cookie,
            max_age=int(LIFE.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=_is_secure(request),
        )
        return response

    return router


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _note(page: str, status: int) -> Response:
    headers = {**HEADERS, "Cache-Control": NEVER_STORED}
    return Response(page, status_code=status, headers=headers, media_type="text/html; charset=utf-8")


def _file_response(request: Request, file: BuiltFile, cache_control: str) -> Response:
    headers = {**HEADERS, "Cache-Control": cache_control, "ETag": f'"{file.tag}"', "Vary": "Accept-Encoding"}
    if has_tag(request, file.tag):
        return Response(status_code=304, headers=headers)
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.media_type)
    return Response(file.content, headers=headers, media_type=file.media_type)
