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
import signal
import statistics
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, create_engine, text

from bench import results
from bench.scaling_streams import measure_streams
from ganlib.spec.request import RunRequest
from store.core.db import make_engine, reading, transaction, upgrade
from store.files.artifacts import StoredArtifact
from store.runs import claims, endings, leases, lifecycle, logs, recording, records
from store.runs.claims import Claim
from store.runs.machines import Machine
from store.scheduling import workers
from store.scheduling.owners import Owner
from tests.support.api import with_bins
from tests.support.processes import running
from tests.support.servers import PreparedPostgres, prepared_postgres
from tests.support.store import diagnosis, epoch_record, step_block

COUNTS = (1, 10, 100, 1000)
THREADS = 16  # of the simulation; more only wait for each other in one Python process
LEASE = timedelta(seconds=600)  # longer than a slow machine takes for a round of 1,000 workers
EPOCHS, REPORTS = 2, 10  # of a simulated run, and reports of progress in each of its epochs
LEAST_RUNS = 60  # of each count: fewer say nothing of a 99th percentile
STEPS = 100  # of an epoch, as its packed series has them
QUEUED, OWNERS, TEAMS = 2000, 20, 5
POLLS = 500  # of idle workers
REPORTS_A_MINUTE = 60  # a training's worker reports its progress every second
LOG_PIECES_A_MINUTE = 2
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SERVER = {"max_connections": "100", "shared_preload_libraries": "pg_stat_statements", "timezone": "UTC"}
"""All else is as PostgreSQL has it: fsync and synchronous_commit are on."""
REQUEST = RunRequest(preset="mnist-stable", set={"training.epochs": EPOCHS})
SPEC = REQUEST.resolve()
Operation = Callable[[Engine], None]


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


@dataclass(slots=True, kw_only=True)
class Times:
    """Milliseconds of each operation, by its name."""

    of: dict[str, list[float]] = field(default_factory=lambda: defaultdict[str, list[float]](list))

    @contextmanager
    def measuring(self, name: str) -> Iterator[None]:
        """Measures the block."""
        started = time.perf_counter()
        yield
        self.of[name].append(1e3 * (time.perf_counter() - started))

    def told(self, name: str) -> dict[str, float]:
        """Its quantiles."""
        found = self.of[name]
        quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        return {"count": len(found)} | {key: round(float(np.quantile(found, q)), 2) for key, q in quantiles.items()}


class SimulatedWorker:
    """Makes the transactions of a worker and of its training processes, one after the other."""

    def __init__(self, number: int, times: Times) -> None:
        self._name, self._times = f"worker-{number}", times
        self._claim: Claim | None = None
        self._reports = 0

    def begin(self, engine: Engine) -> None:
        """It starts."""
        with transaction(engine) as session:
            workers.begin(session, self._name)

    def one_run(self) -> Iterator[Operation]:
        """The operations from a poll to the end of the run that it gives."""
        yield self.poll
        yield self.begin_training
        for epoch in range(1, EPOCHS + 1):
            for _ in range(REPORTS):
                yield self.report
            yield self.log
            yield lambda engine, epoch=epoch: self.record(engine, epoch)

    def poll(self, engine: Engine) -> None:
        """As `worker.host.slot.Slot` does."""
        with self._times.measuring("poll"):
            with transaction(engine) as session:
                endings.requeue_expired(session, 3)
            with transaction(engine, durable=False) as session:
                workers.describe(session, self._name, gpu_memory=None, obstacle=None)
                workers.is_drained(session, self._name)
            with self._times.measuring("claim"), transaction(engine) as session:
                self._claim = claims.claim(session, self._name, LEASE)

    @property
    def _held(self) -> Claim:
        assert self._claim is not None, "more is queued than is claimed"
        return self._claim

    def begin_training(self, engine: Engine) -> None:
        """As `worker.attempt.training` does."""
        claim = self._held
        with self._times.measuring("begin"):
            with reading(engine) as session:
                lifecycle.find(session, claim.run_id)
                lifecycle.attempts(session, claim.run_id)
                records.epochs(session, claim.run_id)
            with transaction(engine) as session:
                recording.rewind(session, claim.run_id, claim.token, 0)
                leases.describe_attempt(
                    session,
                    claim.run_id,
                    claim.token,
                    Machine(device="cuda:0", threads=1, cpu_capability="AVX2", versions={"torch": "2"}),
                    resumed_from_epoch=None,
                    identical=None,
                )

    def report(self, engine: Engine) -> None:
        """As `worker.host.supervise` does every second; every tenth is a heartbeat."""
        claim = self._held
        self._reports += 1
        with self._times.measuring("report"), transaction(engine, durable=False) as session:
            is_heartbeat = self._reports % 10 == 0
            leases.renew(session, claim.run_id, claim.token, LEASE, step=self._reports, is_heartbeat=is_heartbeat)

    def log(self, engine: Engine) -> None:
        """A piece of the log."""
        with self._times.measuring("log"), transaction(engine) as session:
            logs.append(session, self._held.run_id, self._held.attempt, 0, b"epoch 1 took 60 s: healthy\n")

    def record(self, engine: Engine, epoch: int) -> None:
        """An epoch; with the last, the run's success."""
        claim = self._held
        with self._times.measuring("epoch"):
            with transaction(engine) as session:
                run = lifecycle.find(session, claim.run_id)
                assert run is not None
                endings.is_out_of_time(session, run)
            with transaction(engine) as session:
                recording.record_epoch(session, _record(claim, epoch))
                if epoch == EPOCHS:
                    endings.finish(session, claim.run_id, claim.token, "succeeded")


def _record(claim: Claim, epoch: int) -> recording.EpochRecord:
    picture = StoredArtifact(sha256=f"{epoch:064x}", size=20_000, media_type="image/png")
    return epoch_record(
        claim,
        epoch,
        first_step=(epoch - 1) * STEPS,
        steps=step_block(epoch, STEPS),
        evaluations=(with_bins(0), with_bins(1)) if epoch == 1 else (with_bins(epoch),),
        diagnosis=diagnosis(epoch, collapse_since=1),
        artifacts={"samples": picture, "bins": picture},
    )


def in_turn(engine: Engine, operations: Sequence[Iterator[Operation]], threads: int) -> None:
    """Makes the next operation of each in turn, so that all go on side by side, in so many threads."""
    waiting = deque(operations)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not failures:
                try:
                    mine = waiting.popleft()
                except IndexError:
                    return
                operation = next(mine, None)
                if operation is not None:
                    operation(engine)
                    waiting.append(mine)
        except BaseException as error:  # noqa: BLE001  whatever it is ends the bench
            failures.append(error)

    pool = [threading.Thread(target=work) for _ in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    if failures:
        raise failures[0]


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


STATEMENTS = """
SELECT sum(calls) FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND query !~ '^(BEGIN|COMMIT|ROLLBACK|SAVE|RELEASE|SHOW)'
"""
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
