"""The database server of `bench.scaling`, and what a part of that bench takes of it."""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from tests.support.processes import running
from tests.support.servers import PreparedPostgres, prepared_postgres

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SERVER = {"max_connections": "100", "shared_preload_libraries": "pg_stat_statements", "timezone": "UTC"}
"""All else is as PostgreSQL has it: fsync and synchronous_commit are on."""
STATEMENTS = """
SELECT sum(calls) FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND query !~ '^(BEGIN|COMMIT|ROLLBACK|SAVE|RELEASE|SHOW)'
"""


@contextmanager
def synced_postgres() -> Iterator[PreparedPostgres]:
    """A running PostgreSQL that loses nothing when the power fails."""
    with prepared_postgres() as prepared:
        server, account = prepared.server, prepared.account
        with running(
            [*prepared.command, *(f"--{name}={value}" for name, value in SERVER.items())],
            log=server.socket_directory / "postgres.log",
            ready=server.is_ready,
            stop_signal=signal.SIGINT,
            cwd=server.socket_directory,
            user=account.user,
            group=account.group,
        ):
            yield prepared


def fsync_ms(folder: Path, times: int = 100) -> float:
    """The median time of writing 8 KB and having it on the disk."""
    found: list[float] = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(times):
            started = time.perf_counter()
            file.write(bytes(8192))
            file.flush()
            os.fdatasync(file.fileno())
            found.append(1e3 * (time.perf_counter() - started))
    return round(statistics.median(found), 2)


def cpu_s(folder: Path) -> float:
    """CPU seconds of all processes of the server whose files lie there, and of those of them that have ended."""
    pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    spent = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        is_server = int(entry.parent.name) == pid
        if is_server or int(fields[1]) == pid:
            spent += sum(map(int, fields[11:15] if is_server else fields[11:13]))
    return spent / TICKS_A_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a part of the bench took of the server."""

    seconds: float
    statements: int
    server_cpu_s: float
    client_cpu_s: float


@contextmanager
def spending(prepared: PreparedPostgres, engine: Engine) -> Iterator[Callable[[], Spent]]:
    """In the block and after it, what has been spent since its beginning."""
    folder = prepared.server.socket_directory

    def statements() -> int:
        with engine.connect() as connection:
            return int(connection.scalar(text(STATEMENTS)) or 0)

    before = (time.perf_counter(), statements(), cpu_s(folder), time.process_time())
    yield lambda: Spent(
        seconds=time.perf_counter() - before[0],
        statements=statements() - before[1],
        server_cpu_s=cpu_s(folder) - before[2],
        client_cpu_s=time.process_time() - before[3],
    )
