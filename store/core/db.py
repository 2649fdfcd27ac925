"""Engines, transactions, the database's clock and its schema, alike on SQLite and PostgreSQL."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Double,
    Engine,
    create_engine,
    event,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine
from typing_extensions import override

from store.core.errors import DatabaseNotMigrated, DatabaseTooNew, DatabaseUnavailable
from store.core.turns import NoTurn, Turns

if TYPE_CHECKING:
    from alembic.config import Config

BUSY_TIMEOUT = timedelta(seconds=30)
API_CONNECTIONS = 40
"""FastAPI calls from up to 40 threads; each may hold a connection."""
WORKER_CONNECTIONS = 5
"""Of a worker, however many slots it has: 80 reports a second, each of some milliseconds, keep less than one busy."""
KEPT_TRAINING_CONNECTIONS, BRIEF_TRAINING_CONNECTIONS = 12, 4
"""Of all trainings of a machine together: as many keep theirs, the others share some and connect anew each time, which
takes 5 ms of CPU time and is needed some times an epoch. With 40 for an API, one that it listens on, and 8 workers of 5
these are 97, as many as PostgreSQL lets in by default that are no superuser's."""
# A server that has vanished from the network is noticed in 20 s, before a lease ends; by default it takes hours.
POSTGRES_PATIENCE = {
    "connect_timeout": 5,  # seconds, as the next two
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,  # milliseconds
}
READING: dict[str, dict[str, Any]] = {
    "sqlite": {"sqlite_begin": "DEFERRED"},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
"""Execution options of a read-only transaction that sees one moment, for each database."""
NOT_DURABLE = text("SET LOCAL synchronous_commit TO off")
NEWS = "ganclinic_events"
"""PostgreSQL's channel on which is said that there are new events."""
HAS_NEWS = "has_news"
"""Key in a session's `info`: its transaction has stored events."""
NOTIFY = text("SELECT pg_notify(:channel, '') FROM set_config('synchronous_commit', 'off', true)")  # one round trip
MIGRATION_LOCK = 0x6761_6E63  # any number that only migrations of this database lock
MIGRATIONS = Path(__file__).parents[2] / "migrations"


def make_engine(url: str, *, connections: int = API_CONNECTIONS, turns: Turns | None = None) -> Engine:
    """An engine for `sqlite:///…`, or for `postgresql://…` (also `postgres://…`) through psycopg 3.

    `connections`: to PostgreSQL, at most; up to ten of them are kept while nobody needs them. With `turns` each has to
    have one, and is closed after its transaction where that turn does not last.
    """
    parsed = make_url(url)
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        pool = _pool(API_CONNECTIONS)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT.total_seconds()}, **pool)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    patience = {name: value for name, value in POSTGRES_PATIENCE.items() if name not in parsed.query}
    # Guarded UPDATEs look at the row again after waiting for it, which no stricter level does.
    engine = create_engine(parsed, isolation_level="READ COMMITTED", connect_args=patience, **_pool(connections))
    if turns is not None:
        _connect_in_turn(engine, turns)
    return engine


def training_turns(folder: Path) -> Turns:
    """Those that all trainings of a machine take from each other; `folder`: where the machine has them."""
    return Turns(folder, lasting=KEPT_TRAINING_CONNECTIONS, brief=BRIEF_TRAINING_CONNECTIONS)


def _pool(connections: int) -> dict[str, Any]:
    kept = min(10, connections)
    return {"pool_size": kept, "max_overflow": connections - kept, "pool_pre_ping": True}


def _connect_in_turn(engine: Engine, turns: Turns) -> None:
    """Each connection has a turn for as long as it is open."""

    def connect(dialect: Dialect, record: Any, arguments: Any, options: Any) -> Any:
        turn = turns.take()
        try:
            connection = dialect.connect(*arguments, **options)
        except BaseException:
            turn.end()
            raise
        record.info["turn"] = turn
        return connection

    def give_back(_connection: Any, record: Any) -> None:
        if "turn" in record.info and not record.info["turn"].lasts:
            record.invalidate()

    def close(_connection: Any, record: Any) -> None:
        record.info.pop("turn").end()

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkin", give_back)
    event.listen(engine, "close", close)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    _use_write_ahead_log(connection, time.monotonic() + BUSY_TIMEOUT.total_seconds())
    connection.execute("PRAGMA synchronous=NORMAL")


def _use_write_ahead_log(connection: Any, deadline: float) -> None:
    # A new file's change of mode is the one wait that SQLite's own busy timeout does not cover.
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock before the first read, so that no transaction writes what it read too early,
    # and waiting for it obeys the busy timeout; a lock upgraded later fails at once.
    options = connection.get_execution_options()
    mode = options.get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if mode == 'IMMEDIATE' else 'ON'}")
    connection.exec_driver_sql(f"PRAGMA foreign_keys={options.get('sqlite_foreign_keys', 'ON')}")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextmanager
def transaction(engine: Engine, *, durable: bool = True) -> Iterator[Session]:
    """A session that is committed at the end, or rolled back when an exception leaves the block.

    `durable`: whether the commit waits for the disk. One that does not may be lost where PostgreSQL, or its machine,
    crashes within a second, and is for what is soon said again: a heartbeat. (SQLite's commits never wait: a power cut
    may lose the last ones.)

    Raises:
        DatabaseUnavailable: the database does not answer, or not in time.
    """
    with _translated(), ExitStack() as held:
        connect = cache(lambda: held.enter_context(engine.connect()))
        with _LateSession(connect) as session:
            with session.begin():
                if not durable and engine.dialect.name == "postgresql":
                    session.execute(NOT_DURABLE)
                yield session
            if session.info.get(HAS_NEWS):
                _tell(connect())


class _LateSession(Session):
    """Takes its one connection when it first needs it: a request that is refused before costs the database nothing."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        super().__init__(expire_on_commit=False)
        self._connect = connect

    @override
    def get_bind(self, *_: Any, **__: Any) -> Connection:
        return self._connect()


def _tell(connection: Connection) -> None:
    """Wakes those who listen on `NEWS`, where the database can; who does not hear it finds the news by looking.

    After the commit and not in it: PostgreSQL lets one commit that notifies wait for the other, and each for the disk.
    """
    if connection.dialect.name == "postgresql":
        with suppress(OperationalError, InterfaceError):
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(NOTIFY, {"channel": NEWS})


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that sees the database as it is at its first query, waits for no writer, and may not write.

    Raises:
        DatabaseUnavailable: the database does not answer, or not in time.
    """
    with _translated(), Session(engine, expire_on_commit=False) as session:
        session.connection(execution_options=READING[engine.dialect.name])
        yield session


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, NoTurn) as error:
        raise DatabaseUnavailable(f"the database does not answer: {error}") from error


class now(FunctionElement[float]):  # noqa: N801  reads as the SQL function it is
    """The database's clock when the row is read: seconds since 1970, to a millisecond."""

    type: TypeEngine[float] = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"  # 2440587.5: the Julian day of 1970-01-01


@compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


def after(duration: timedelta) -> ColumnElement[float]:
    """The database's clock in `duration`."""
    return now() + duration.total_seconds()


def upgrade(engine: Engine) -> None:
    """Brings the schema to the newest revision, in one transaction; of two callers at once, one waits.

    Raises:
        DatabaseTooNew: a newer version of this code made it.
        DatabaseUnavailable: the database does not answer.
    """
    from alembic import command  # Alembic is imported where a schema is looked at: that takes a quarter of a second

    _require_known(current_revision(engine))
    with migrating(engine) as config:
        command.upgrade(config, "head")


@contextmanager
def migrating(engine: Engine) -> Iterator["Config"]:
    """Alembic's configuration for commands in one transaction that no other migration runs beside."""
    from alembic.config import Config

    # SQLite alters a table by copying and dropping it, which no foreign key to it may notice.
    unchecked = engine.execution_options(sqlite_foreign_keys="OFF")
    with _translated(), unchecked.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config = Config(MIGRATIONS / "alembic.ini")
        config.attributes["connection"] = connection
        yield config


def current_revision(engine: Engine) -> str | None:
    """The revision of the database's schema; None where it has none."""
    from alembic.runtime.migration import MigrationContext

    with reading(engine) as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def require_migrated(engine: Engine) -> None:
    """Returns where the schema is the one this code needs.

    Raises:
        DatabaseNotMigrated: it is not; the message says which command to run.
        DatabaseUnavailable: the database does not answer.
    """
    revision = current_revision(engine)
    head = _require_known(revision)
    if revision != head:
        raise DatabaseNotMigrated(revision, head)


@cache
def _revisions() -> tuple[str, ...]:
    """Of the migrations, newest first. Reading them takes longer than the rest of a check."""
    from alembic.script import ScriptDirectory

    return tuple(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


def _require_known(revision: str | None) -> str:
    """The newest revision, where the given one is among those that led to it."""
    known = _revisions()
    if revision is not None and revision not in known:
        raise DatabaseTooNew(revision, known[0])
    return known[0]


def clock(session: Session) -> float:
    """The database's clock, in seconds since 1970."""
    return session.scalars(select(now())).one()
