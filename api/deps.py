"""What the endpoints are given: the service's parts, a session, the run that a path names."""

import email.message
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import BackgroundTasks, Depends, Header, Path, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.errors import NotYours, UnsupportedMediaType
from api.http.concurrency import SESSION_TURNS
from api.http.request_metrics import RequestMetrics
from ganlib.spec.limits import MAX_EPOCH
from store.core import db
from store.core.models import Run
from store.core.settings import Settings
from store.files.artifacts import Artifacts
from store.files.usage import StorageGauge
from store.runs import lifecycle
from store.scheduling.accounts import Accounts, Caller
from store.scheduling.owners import NOBODY_ELSE, Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the app works with; tests pass fakes."""

    settings: Settings
    engine: Engine
    artifacts: Artifacts
    uploaded: Artifacts
    """The files of uploads."""
    storage: StorageGauge
    bell: Callable[[Settings], bool]
    broker_answers: Callable[[Settings], bool]
    request_metrics: RequestMetrics
    accounts: Accounts
    """Who may send requests."""


async def get_services(request: Request) -> Services:
    """The parts that the app was made with."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


def require_storage(services: ServicesDep) -> None:
    """Returns where the service may store more."""
    services.storage.require_room()


ServiceStorageRoom = Depends(require_storage)
"""For what is stored for the owner of a run, whoever that is: see `require_storage_of`."""


async def get_ring(services: ServicesDep, background: BackgroundTasks) -> Callable[[], None]:
    """Lets the workers hear, after the answer and thus after the commit, that there is work."""
    return lambda: background.add_task(services.bell, services.settings)


RingAfterAnswer = Annotated[Callable[[], None], Depends(get_ring)]


async def get_request_id(request: Request) -> str:
    """The id of the request: see `api.http.tracking`."""
    request_id: str = request.state.request_id
    return request_id


RequestId = Annotated[str, Depends(get_request_id)]


async def get_caller(request: Request) -> Caller:
    """Who sends the request: whoever has its token (see `api.http.auth`). Nothing in the request itself can say so."""
    caller: Caller = request.state.caller
    return caller


CallerDep = Annotated[Caller, Depends(get_caller)]


def require_own_storage(services: ServicesDep, caller: CallerDep) -> None:
    """Returns where the service, and the caller in it, may store more."""
    services.storage.require_room()
    require_storage_of(caller.owner, services)


StorageRoom = Depends(require_own_storage)


def require_storage_of(owner: Owner, services: Services) -> None:
    """Returns where the owner may store more.

    Raises:
        StorageQuotaExceeded: it, or its team, may not.
    """
    services.storage.require_room_of(owner, services.accounts.sharing)


def require_may_change(caller: Caller, run: Run) -> None:
    """Returns where the caller may cancel, pause, extend, treat or delete the run.

    Raises:
        NotYours: it may not.
    """
    require_is_of(caller, Owner.of(run), "run")


def require_is_of(caller: Caller, owner: Owner, what: str) -> None:
    """Returns where the caller may change what belongs to the owner.

    Raises:
        NotYours: it may not.
    """
    if not caller.may_change(owner):
        raise NotYours(owner, what)


async def take_turn() -> AsyncIterator[None]:
    """Waits until the request may open sessions: see `api.http.concurrency`."""
    async with SESSION_TURNS.limiter():
        yield


Turn = Annotated[None, Depends(take_turn, scope="function")]


def get_reader(services: ServicesDep, _turn: Turn) -> Iterator[Session]:
    """A session that sees one moment and may not write."""
    with db.reading(services.engine) as session:
        yield session


def get_writer(services: ServicesDep, _turn: Turn) -> Iterator[Session]:
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
IdempotencyHeader = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="With the same key, the same request gives what the first one made, however often it is sent; "
        "each user has keys of its own.",
    ),
]


async def get_idempotency_key(caller: CallerDep, idempotency_key: IdempotencyHeader = None) -> str | None:
    """The key as it is stored, so that nobody meets another user's: behind its owner and a line break."""
    if idempotency_key is None or caller.owner == NOBODY_ELSE:
        return idempotency_key
    return f"{caller.owner.id}\n{idempotency_key}"


IdempotencyKey = Annotated[str | None, Depends(get_idempotency_key)]


def find_run(run_id: RunId, session: Reader) -> Run:
    """The run that the path names."""
    return lifecycle.get(session, run_id)


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
