"""What the database itself saw: triggers note every claim, epoch and end. Plain SQL over the drivers alone.

`chaos_events` has one row for each epoch that was written (`what` is `epoch`) and for each change of a run's status
(`what` is the new one, `running` for a claim), in the transaction that made it: what was rolled back is not there, and
what was deleted later is. `newest` is the run's fencing token then, `holder` its attempt, `status` its status.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from typing_extensions import override

TABLES = (
    "CREATE TABLE chaos_events (run_id TEXT, what TEXT, epoch INTEGER, attempt INTEGER, holder INTEGER, "
    "newest INTEGER, status TEXT, at DOUBLE PRECISION)",
    "CREATE TABLE chaos_accepted (run_id TEXT, reference_id TEXT, dies_after INTEGER)",
    "CREATE TABLE chaos_hits (fault INTEGER, kind TEXT, run_id TEXT, attempt INTEGER, ends_attempt INTEGER, "
    "at DOUBLE PRECISION, leased_until DOUBLE PRECISION)",
)
NOTE_EPOCH = (
    "INSERT INTO chaos_events SELECT NEW.run_id, 'epoch', NEW.epoch, NEW.attempt, r.attempt, r.token, r.status, {now} "
    "FROM runs r WHERE r.id = NEW.run_id;"
)
NOTE_STATUS = (
    "INSERT INTO chaos_events (run_id, what, attempt, holder, newest, status, at) "
    "VALUES (NEW.id, NEW.status, NEW.attempt, NEW.attempt, NEW.token, NEW.status, {now});"
)
SQLITE_NOW = "(julianday('now') - 2440587.5) * 86400.0"
POSTGRES_NOW = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
SQLITE_TRIGGERS = (
    f"CREATE TRIGGER chaos_epoch AFTER INSERT ON epochs BEGIN {NOTE_EPOCH.format(now=SQLITE_NOW)} END",
    "CREATE TRIGGER chaos_status AFTER UPDATE ON runs WHEN NEW.status <> OLD.status "
    f"BEGIN {NOTE_STATUS.format(now=SQLITE_NOW)} END",
)
POSTGRES_TRIGGERS = (
    "CREATE FUNCTION chaos_note_epoch() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN {NOTE_EPOCH.format(now=POSTGRES_NOW)} RETURN NULL; END $$",
    "CREATE FUNCTION chaos_note_status() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN {NOTE_STATUS.format(now=POSTGRES_NOW)} RETURN NULL; END $$",
    "CREATE TRIGGER chaos_epoch AFTER INSERT ON epochs FOR EACH ROW EXECUTE FUNCTION chaos_note_epoch()",
    "CREATE TRIGGER chaos_status AFTER UPDATE ON runs FOR EACH ROW WHEN (NEW.status <> OLD.status) "
    "EXECUTE FUNCTION chaos_note_status()",
)


class DatabaseDown(Exception):
    """The database does not answer."""


class Witness(Protocol):
    """Plain SQL on one of the two databases, a connection each time."""

    def attach(self) -> None:
        """Adds tables and triggers to the migrated database."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Raises:
            DatabaseDown: the database does not answer.
        """
        ...

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Adds rows to one of our own tables."""


@dataclass(frozen=True, slots=True)
class SqliteWitness(Witness):
    """Of a SQLite file."""

    path: str

    @override
    def attach(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for statement in (*TABLES, *SQLITE_TRIGGERS):
                connection.execute(statement)

    @override
    def rows(self, query: str) -> list[tuple[Any, ...]]:
        try:
            with closing(sqlite3.connect(self.path, timeout=30)) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            raise DatabaseDown(str(error)) from error

    @override
    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            for row in rows:
                places = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {table} VALUES ({places})", tuple(row))  # noqa: S608  a name of ours


@dataclass(frozen=True, slots=True)
class PostgresWitness(Witness):
    """Of a PostgreSQL database."""

    url: str

    @override
    def attach(self) -> None:
        with psycopg.connect(self.url) as connection:
            for statement in (*TABLES, *POSTGRES_TRIGGERS):
                connection.execute(statement.encode())

    @override
    def rows(self, query: str) -> list[tuple[Any, ...]]:
        try:
            with psycopg.connect(self.url, connect_timeout=5) as connection:
                return connection.execute(query.encode()).fetchall()
        except psycopg.OperationalError as error:
            raise DatabaseDown(str(error)) from error

    @override
    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        with psycopg.connect(self.url) as connection:
            for row in rows:
                places = ", ".join(["%s"] * len(row))
                connection.execute(f"INSERT INTO {table} VALUES ({places})".encode(), tuple(row))  # noqa: S608
