"""What the endpoints are given: the service's parts, a session, the run that a path names."""

import email.message
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.errors import UnsupportedMediaType
from api.requests import MAX_EPOCH
from store import db, runs
from store.artifacts import LocalArtifacts
from store.models import Run
from store.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the app works with; tests pass fakes."""

    settings: Settings
    engine: Engine
    artifacts: LocalArtifacts
    bell: Callable[[Settings], bool]
    broker_answers: Callable[[Settings], bool]


async def get_services(request: Request) -> Services:
    """The parts that the app was made with."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


def get_reader(services: ServicesDep) -> Iterator[Session]:
    """A session that sees one moment and may not write."""
    with db.reading(services.engine) as session:
        yield session


def get_writer(services: ServicesDep) -> Iterator[Session]:
    """A session that is committed when the endpoint has returned."""
    with db.transaction(services.engine) as session:
        yield session


# "function": the session is closed, and a writer's committed, before the response is sent.
Reader = Annotated[Session, Depends(get_reader, scope="function")]
Writer = Annotated[Session, Depends(get_writer, scope="function")]

RunId = Annotated[str, Path(description="Id of the run, 16 hex digits.")]
EvaluationId = Annotated[str, Path(description="Id of the evaluation, 16 hex digits.")]
UploadId = Annotated[str, Path(description="Id of the upload, 16 hex digits.")]
EpochPath = Annotated[int, Path(ge=0, le=MAX_EPOCH)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="With the same key, the same request gives what the first one made, however often it is sent.",
    ),
]


def find_run(run_id: RunId, session: Reader) -> Run:
    """The run that the path names."""
    return runs.get(session, run_id)


FoundRun = Annotated[Run, Depends(find_run)]


async def require_json(request: Request) -> None:
    """Returns where the body, if there is one, is declared to be JSON.

    Raises:
        UnsupportedMediaType: it is not.
    """
    if not await request.body():
        return
    declared = request.headers.get("content-type")
    message = email.message.Message()
    message["content-type"] = declared or ""
    subtype = message.get_content_subtype()
    if message.get_content_maintype() != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise UnsupportedMediaType(declared)


JsonBody = Depends(require_json)
