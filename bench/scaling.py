"""How many workers, epochs and followers does one database, and one API process, carry?

    make bench-scaling   # writes bench/results/scaling.json: docs/scaling.md says what follows from it

Simulated workers train nothing. Each makes the transactions of a real one, in their order, by the store's own
functions: poll, claim, begin, and for each epoch reports of progress, a piece of the log and the epoch; then the run's
end. They share a bounded pool of connections to a real PostgreSQL that syncs its commits, and go as fast as that
answers: what is measured is the cost of an operation with so many workers alive, not their pace.

Statements are counted by the server (pg_stat_statements), and its CPU time is that of its processes (/proc). The CPU
time of the clients, which share the machine here, is told apart.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

from bench import results
from bench.scaling_server import SERVER, fsync_ms, spending, synced_postgres
from bench.scaling_streams import measure_streams
from bench.scaling_workers import REQUEST, SPEC, Operation, SimulatedWorker, Times, in_turn
from store.core.db import make_engine, transaction, upgrade
from store.runs import lifecycle
from store.scheduling.owners import Owner
from tests.support.servers import PreparedPostgres

COUNTS = (1, 10, 100, 1000)
THREADS = 16  # of the simulation; more only wait for each other in one Python process
LEAST_RUNS = 60  # of each count: fewer say nothing of a 99th percentile
QUEUED, OWNERS, TEAMS = 2000, 20, 5
POLLS = 500  # of idle workers
REPORTS_A_MINUTE = 60  # a training's worker reports its progress every second
LOG_PIECES_A_MINUTE = 2


def fill_queue(engine: Engine, number: int) -> None:
    """So many queued runs of 20 users in 5 teams."""
    for first in range(0, number, 100):
        with transaction(engine) as session:
            for index in range(first, min(first + 100, number)):
                owner = Owner(user=f"user-{index % OWNERS}", team=f"team-{index % TEAMS}")
                lifecycle.create(session, REQUEST, SPEC, owner=owner)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


@contextmanager
def filled(prepared: PreparedPostgres, number: int) -> Iterator[Engine]:
    """A database of its own with so many runs queued."""
    with prepared.server.database() as url:
        engine = make_engine(url)
        upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text("CREATE EXTENSION pg_stat_statements"))
        fill_queue(engine, number)
        yield engine
        engine.dispose()


SLOWEST = """
SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 90) AS query, calls, round(mean_exec_time::numeric, 3) AS mean_ms
FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC LIMIT 8
"""
ALL_RUNNING = (
    "UPDATE runs SET status = 'running', lease_worker = 'w', lease_expires_at = 1e12, attempt = 1"
    " WHERE id IN (SELECT id FROM runs WHERE status = 'queued' LIMIT :number)",
    "INSERT INTO attempts (run_id, number, token, worker, started_at, outcome)"
    " SELECT id, 1, 1, 'w', created_at, 'running' FROM runs WHERE status = 'running'",
    "UPDATE runs SET status = 'cancelled' WHERE status = 'queued'",
)
HOT = "SELECT round(100.0 * n_tup_hot_upd / greatest(1, n_tup_upd), 1) FROM pg_stat_user_tables WHERE relname = 'runs'"


def simulate(prepared: PreparedPostgres, count: int) -> dict[str, Any]:
    """What runs cost where so many workers train at once."""
    number = max(count, LEAST_RUNS)
    with filled(prepared, max(QUEUED, number)) as engine:
        times = Times()
        simulated = [SimulatedWorker(index, times) for index in range(count)]
        for worker in simulated:
            worker.begin(engine)

        def all_runs(worker: SimulatedWorker, share: int) -> Iterator[Operation]:
            for _ in range(share):
                yield from worker.one_run()

        shares = [number // count + (index < number % count) for index in range(count)]
        operations = [all_runs(worker, share) for worker, share in zip(simulated, shares, strict=True)]
        with spending(prepared, engine) as spent:
            in_turn(engine, operations, min(count, THREADS))
            found = spent()
        with engine.connect() as connection:
            slowest = [dict(row) for row in connection.execute(text(SLOWEST)).mappings()]
            hot = connection.scalar(text(HOT))
        idle = idle_polls(prepared, engine, simulated)
    return {
        "workers": count,
        "runs": number,
        "seconds": round(found.seconds, 1),
        "claim_ms": times.told("claim"),
        "report_ms": times.told("report"),
        "epoch_ms": times.told("epoch"),
        "statements_a_run": round(found.statements / number, 1),
        "server_cpu_ms_a_run": round(1e3 * found.server_cpu_s / number, 1),
        "client_cpu_ms_a_run": round(1e3 * found.client_cpu_s / number, 1),
        "updates_of_runs_in_place_percent": None if hot is None else float(hot),
        "most_time": [{**row, "mean_ms": float(row["mean_ms"])} for row in slowest],
        **idle,
    }


def idle_polls(prepared: PreparedPostgres, engine: Engine, simulated: Sequence[SimulatedWorker]) -> dict[str, Any]:
    """What a poll costs that finds nothing, while as many runs are trained."""
    with engine.begin() as connection:
        for statement in ALL_RUNNING:
            connection.execute(text(statement), {"number": len(simulated)})
    times = Times()
    idle = SimulatedWorker(10**6, times)
    with spending(prepared, engine) as spent:
        in_turn(engine, [iter([idle.poll] * POLLS)], 1)
        found = spent()
    return {
        "idle_poll_ms": times.told("poll"),
        "server_cpu_ms_an_idle_poll": round(1e3 * found.server_cpu_s / POLLS, 2),
    }


def unit_costs(prepared: PreparedPostgres, count: int = 200) -> dict[str, Any]:
    """Each operation by itself: how many the server and this client make in a second, and the server's CPU time."""
    with filled(prepared, QUEUED) as engine:
        times = Times()
        simulated = [SimulatedWorker(index, times) for index in range(count)]
        phases: dict[str, list[list[Operation]]] = {
            "claim": [[worker.poll] for worker in simulated],
            "begin": [[worker.begin_training] for worker in simulated],
            "report": [[worker.report] * 10 for worker in simulated],
            "log": [[worker.log] * 3 for worker in simulated],
            "epoch": [[lambda engine, worker=worker: worker.record(engine, 1)] for worker in simulated],
            "end": [[lambda engine, worker=worker: worker.record(engine, 2)] for worker in simulated],
        }
        told: dict[str, Any] = {}
        for name, operations in phases.items():
            number = sum(map(len, operations))
            with spending(prepared, engine) as spent:
                in_turn(engine, [iter(each) for each in operations], THREADS)
                found = spent()
            told[name] = {
                "a_second": round(number / found.seconds),
                "statements": round(found.statements / number, 1),
                "server_cpu_ms": round(1e3 * found.server_cpu_s / number, 2),
                "client_cpu_ms": round(1e3 * found.client_cpu_s / number, 2),
            }
        return told


def a_training(units: dict[str, Any]) -> dict[str, float]:
    """What a training with an epoch a minute takes of the server, and how many of them keep half of one core busy."""
    cost_ms = (
        units["epoch"]["server_cpu_ms"]
        + REPORTS_A_MINUTE * units["report"]["server_cpu_ms"]
        + LOG_PIECES_A_MINUTE * units["log"]["server_cpu_ms"]
    )
    commits = 2 + REPORTS_A_MINUTE + LOG_PIECES_A_MINUTE
    return {
        "server_cpu_ms_a_minute": round(cost_ms, 1),
        "transactions_a_minute": commits,
        "trainings_a_core_half_busy": round(30_000 / cost_ms),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=list(COUNTS), help="how many workers are simulated")
    parser.add_argument("--only", choices=("workers", "units", "streams"), help="this alone, printed and not written")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with synced_postgres() as prepared, tempfile.TemporaryDirectory() as folder:
        found["fsync_ms"] = fsync_ms(Path(folder))
        with create_engine(prepared.server.url("postgres")).connect() as connection:
            found["postgresql"] = connection.scalar(text("SHOW server_version"))
        found["settings"], found["load_before"] = SERVER, round(os.getloadavg()[0], 1)
        if options.only in (None, "workers"):
            found["simulated"] = [simulate(prepared, count) for count in options.workers]
        if options.only in (None, "units"):
            found["units"] = unit_costs(prepared)
            found["a_training"] = a_training(found["units"])
        if options.only in (None, "streams"):
            with prepared.server.database() as url:
                found["followers"] = measure_streams(url, Path(folder))
    print(found if options.only else results.write("scaling", found))


if __name__ == "__main__":
    main()
