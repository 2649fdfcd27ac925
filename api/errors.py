"""Every error as a problem document (RFC 9457), from whichever layer it comes.

Errors of the store and of ganlib are translated here and nowhere else, by the table `KINDS`.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from ganlib.spec.preset import UnknownPreset
from ganlib.spec.problems import in_words, problem_of
from ganlib.spec.request import InvalidRequest
from ganlib.step_blocks import MEDIA_TYPE
from ganlib.wire.problems import MAX_FIELD_PROBLEMS, FieldProblem, Problem
from store.core.errors import (
    ArtifactNotFound,
    BatchNotFound,
    ComparisonNotFound,
    DatabaseUnavailable,
    DiskFull,
    FileDamaged,
    IdempotencyConflict,
    InvalidCursor,
    NotExtendable,
    NotPausable,
    NotTreatable,
    PriorityNotAllowed,
    QuotaExceeded,
    RunInUse,
    RunNotFound,
    RunNotOver,
    StorageFull,
    StorageQuotaExceeded,
    StoreUnavailable,
    TooManyWebhooks,
    TreatmentNotFound,
    UploadInUse,
    UploadNotFound,
    WatchedRunOver,
    WatchOutOfOrder,
    WebhookNotFound,
    WorkerNotFound,
)
from store.scheduling.owners import Owner

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 5

logger = logging.getLogger(__name__)


class RequestError(Exception):
    """Base of the errors that only the API raises."""


class NotRecorded(RequestError):
    """The run (or whatever it is) exists, but has not recorded what was asked for."""

    def __init__(self, what: str, owner: str = "run") -> None:
        super().__init__(f"the {owner} has recorded no {what}")


class NotYours(RequestError):
    """The run, or whatever it is, is somebody else's."""

    def __init__(self, owner: Owner, what: str = "run") -> None:
        user, team = owner.user, owner.team
        team_words = "" if team is None else f" of the team '{team}'"
        whom = "an administrator" if team is None else "somebody of that team, or an administrator"
        super().__init__(f"the {what} belongs to the user '{user}'{team_words}; only they may change it, or {whom}")


class NotAdministrator(RequestError):
    """Only an administrator may do this."""

    def __init__(self, what: str) -> None:
        super().__init__(f"only an administrator may {what}; ask whoever has the service's own token")


class UnsupportedMediaType(RequestError):
    """The body is not declared to be JSON."""

    def __init__(self, content_type: str | None) -> None:
        given = f"not '{content_type:.80}'" if content_type else "and the request names none"
        super().__init__(f"send the body with the content type application/json, {given}")


class NotSteps(RequestError):
    """The body is not declared to be a block of steps."""

    def __init__(self) -> None:
        super().__init__(f"send the steps with the content type {MEDIA_TYPE}")


class NotMultipart(RequestError):
    """The body is not declared to be a form with files."""

    def __init__(self) -> None:
        super().__init__("send the files as multipart/form-data with a boundary, as `curl -F real=@real.npy` does")


class TooManyStreams(RequestError):
    """This process sends events to as many clients as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most:,} clients are sent events already; try again in {RETRY_AFTER_S} seconds")


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    name: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


KINDS: dict[type[Exception], _Kind] = {
    RunNotFound: _Kind(404, "run-not-found", "No such run"),
    BatchNotFound: _Kind(404, "batch-not-found", "No such batch"),
    ComparisonNotFound: _Kind(404, "evaluation-not-found", "No such evaluation"),
    UploadNotFound: _Kind(404, "upload-not-found", "No such upload"),
    TreatmentNotFound: _Kind(404, "treatment-not-found", "No such treatment"),
    WebhookNotFound: _Kind(404, "webhook-not-found", "No such webhook"),
    ArtifactNotFound: _Kind(404, "artifact-not-found", "The stored file is missing"),
    UnknownPreset: _Kind(404, "preset-not-found", "No such preset"),
    NotRecorded: _Kind(404, "not-recorded", "Not recorded"),
    WorkerNotFound: _Kind(404, "worker-not-found", "No such worker"),
    NotYours: _Kind(403, "not-yours", "It belongs to somebody else"),
    NotAdministrator: _Kind(403, "not-administrator", "Only an administrator may"),
    PriorityNotAllowed: _Kind(403, "priority-not-allowed", "The priority is higher than allowed"),
    NotExtendable: _Kind(409, "not-extendable", "The run cannot be extended"),
    NotPausable: _Kind(409, "not-pausable", "The run is over"),
    QuotaExceeded: _Kind(429, "quota-exceeded", "Too many runs are queued"),
    TooManyWebhooks: _Kind(409, "too-many-webhooks", "Too many webhooks"),
    RunInUse: _Kind(409, "run-in-use", "The run cannot be deleted"),
    RunNotOver: _Kind(409, "run-not-over", "The run is not over"),
    WatchOutOfOrder: _Kind(409, "watch-out-of-order", "Earlier messages are missing"),
    WatchedRunOver: _Kind(409, "watched-run-over", "The watched run is over"),
    NotTreatable: _Kind(409, "not-treatable", "The run cannot be treated"),
    UploadInUse: _Kind(409, "upload-in-use", "A run trains on the upload"),
    IdempotencyConflict: _Kind(409, "idempotency-conflict", "Idempotency key used for another request"),
    NotSteps: _Kind(415, "unsupported-media-type", "The body must be a block of steps", {"Accept": MEDIA_TYPE}),
    UnsupportedMediaType: _Kind(415, "unsupported-media-type", "The body must be JSON", {"Accept": "application/json"}),
    NotMultipart: _Kind(415, "unsupported-media-type", "The body must be a form", {"Accept": "multipart/form-data"}),
    InvalidRequest: _Kind(422, "invalid-request", "The request is not valid"),
    InvalidCursor: _Kind(422, "invalid-request", "The request is not valid"),
    DatabaseUnavailable: _Kind(
        503, "database-unavailable", "The database does not answer", {"Retry-After": str(RETRY_AFTER_S)}
    ),
    StoreUnavailable: _Kind(
        503, "store-unavailable", "The store of files does not answer", {"Retry-After": str(RETRY_AFTER_S)}
    ),
    TooManyStreams: _Kind(503, "too-many-streams", "Too many clients", {"Retry-After": str(RETRY_AFTER_S)}),
    FileDamaged: _Kind(500, "file-damaged", "A stored file is damaged"),
    StorageFull: _Kind(507, "storage-full", "The service stores as much as it may"),
    StorageQuotaExceeded: _Kind(507, "storage-quota-exceeded", "The user stores as much as it may"),
    DiskFull: _Kind(507, "disk-full", "The service's disk is full"),
}
INVALID = KINDS[InvalidRequest]


def register(app: FastAPI) -> None:
    """Makes every error of the app a problem document."""
    for error in KINDS:
        app.add_exception_handler(error, _answer_known)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(Exception, _answer_unexpected)


def problem_response(problem: Problem, scope: Scope, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as a response to the request of `scope`."""
    whole = problem.model_copy(update={"instance": quote(scope["path"], errors="replace")})
    return Response(
        whole.model_dump_json(exclude_none=True), problem.status, dict(headers or {}), media_type=PROBLEM_JSON
    )


def http_problem(status: int, detail: str) -> Problem:
    """A problem that its status describes."""
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)


async def _answer_known(request: Request, error: Exception) -> Response:
    kind = next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)
    # The driver's message names hosts and users: for the log only.
    if isinstance(error, DatabaseUnavailable | StoreUnavailable):
        logger.warning("%s", error)
        return _respond(request, kind, f"Try again in {RETRY_AFTER_S} seconds.")
    return _respond(request, kind, _sentence(str(error)), _field_problems(error))


def _respond(request: Request, kind: _Kind, detail: str, errors: list[FieldProblem] | None = None) -> Response:
    name = f"urn:ganclinic:problem:{kind.name}"
    problem = Problem(type=name, title=kind.title, status=kind.status, detail=detail, errors=errors)
    return problem_response(problem, request.scope, kind.headers)


def _field_problems(error: Exception) -> list[FieldProblem] | None:
    if isinstance(error, InvalidRequest):
        found = [FieldProblem(field=field, message=message) for field, message in error.problems.items()]
        return found[:MAX_FIELD_PROBLEMS]
    return [FieldProblem(field="cursor", message=str(error))] if isinstance(error, InvalidCursor) else None


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible here.",
    }
    problem = http_problem(error.status_code, details.get(HTTPStatus(error.status_code), error.detail))
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request)):
        headers["Allow"] = ", ".join(sorted(methods))
    return problem_response(problem, request.scope, headers)


def _methods(request: Request) -> set[str]:
    """What is possible at the request's address: each method has a route of its own, and Starlette names the first's.

    Empty for an address that the OpenAPI document does not have.
    """
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    at = [item for template, item in paths.items() if _pattern(template).fullmatch(request.url.path)]
    return {method.upper() for item in at for method in item}


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Of the addresses that a path of the document stands for."""
    parts = re.split(r"\{\w+\}", template)
    return re.compile("[^/]+".join(map(re.escape, parts)))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    items: list[dict[str, Any]] = list(error.errors())
    if items[0]["type"] == "json_invalid":
        problem = http_problem(
            400, f"The body is not JSON: {items[0]['ctx']['error']}, at character {items[0]['loc'][-1]}."
        )
        return problem_response(problem, request.scope)
    found = [_field_problem(item) for item in items[:MAX_FIELD_PROBLEMS]]
    return _respond(request, INVALID, _sentence(in_words({p.field: p.message for p in found[:5]})), found)


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    return problem_response(http_problem(500, "The service failed; its log says why."), request.scope)


def _field_problem(item: dict[str, Any]) -> FieldProblem:
    part, *location = item["loc"]  # the first is the part of the request: body, query, path, …
    field, message = problem_of({**item, "loc": tuple(location)}, whole=str(part))
    return FieldProblem(field=field, message=message)


def _sentence(text: str) -> str:
    """The text with a capital and a full stop; a field's name in front keeps its letters."""
    begins_with_field = text.partition(" ")[0].endswith(":")
    return (text[:1] if begins_with_field else text[:1].upper()) + text[1:] + ("" if text.endswith(".") else ".")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of a route, for its `responses`."""
    return {status: {"description": HTTPStatus(status).phrase, "content": PROBLEM_CONTENT} for status in statuses}


PROBLEM_CONTENT: dict[str, Any] = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
EVERYWHERE: dict[int | str, dict[str, Any]] = {
    **documented(401, 503),
    "default": {"description": "Any other error", "content": PROBLEM_CONTENT},
}
"""Problems that every route but health may answer with."""
