"""Whether the service works: the only thing that anybody may ask."""

from fastapi import APIRouter, Response
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from api.deps import Services, ServicesDep
from ganlib.wire.health import DatabaseState, HealthView, LivenessView, ReadinessView
from store.core import db
from store.core.errors import DatabaseNotMigrated, DatabaseTooNew, DatabaseUnavailable
from store.core.settings import Settings
from store.scheduling import workers

BROKER_TIMEOUT_S = 0.5

router = APIRouter(prefix="/health", tags=["health"])


@router.get("", responses={503: {"description": "The database does not answer", "model": HealthView}})
def get_health(services: ServicesDep, response: Response) -> HealthView:
    """Ask whether the service works."""
    database = _database_answers(services)
    if not database:
        response.status_code = 503
    return HealthView(
        status="ok" if database else "unavailable",
        database="ok" if database else "unavailable",
        broker="ok" if services.broker_answers(services.settings) else "unavailable",
        drained=database and _is_drained(services),
    )


def _is_drained(services: Services) -> bool:
    try:
        with db.reading(services.engine) as session:
            return workers.drained_since(session) is not None
    except (DatabaseUnavailable, ProgrammingError):  # without its tables it claims nothing anyway
        return False


@router.get("/live")
async def get_liveness() -> LivenessView:
    """Ask whether this process answers. Where it does not, start it again."""
    return LivenessView(status="ok")


@router.get("/ready", responses={503: {"description": "It cannot serve requests now", "model": ReadinessView}})
def get_readiness(services: ServicesDep, response: Response) -> ReadinessView:
    """Ask whether requests can be served: the database answers and has the tables of this version."""
    database = _database_state(services)
    if database != "ok":
        response.status_code = 503
    return ReadinessView(
        status="ok" if database == "ok" else "unavailable",
        database=database,
        broker="ok" if services.broker_answers(services.settings) else "unavailable",
    )


def _database_state(services: Services) -> DatabaseState:
    try:
        db.require_migrated(services.engine)
    except DatabaseUnavailable:
        return "unavailable"
    except (DatabaseNotMigrated, DatabaseTooNew):
        return "not migrated"
    return "ok"


def _database_answers(services: Services) -> bool:
    try:
        with db.reading(services.engine) as session:
            session.execute(text("SELECT 1"))
    except DatabaseUnavailable:
        return False
    return True


def broker_answers(settings: Settings) -> bool:
    """Whether the broker takes a connection within half a second."""
    from kombu.connection import Connection
    from kombu.exceptions import KombuError
    from redis.exceptions import RedisError

    options = {"socket_timeout": BROKER_TIMEOUT_S, "socket_connect_timeout": BROKER_TIMEOUT_S, "max_retries": 0}
    try:
        with Connection(settings.broker, transport_options=options) as connection:
            connection.default_channel  # noqa: B018  a Redis transport first connects for a channel
    except (KombuError, RedisError, OSError):
        return False
    return True
