"""How fast the service answers, beside MLflow's server: submit, record, read a curve, list runs.

    make bench-service                                  # minutes; writes bench/results/service.json
    make bench-service MLFLOW=/path/to/venv/bin/mlflow  # beside MLflow, which is no dependency: install it elsewhere

Real server processes on this machine, asked over HTTP by one client, in turn, one request each: ours on SQLite, ours on
PostgreSQL that syncs its commits, and MLflow's on SQLite with its own defaults. No worker runs. Runs by the hundred
thousand are copies that the databases make themselves; the newest are whole, and they are what a list shows. Of a curve
of 20,000 steps ours answers all 19 columns, thinned out to 5,000 points; MLflow one metric, whole.
"""

import argparse
import os
import sqlite3
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np

from bench import results
from bench.chaos.cluster import Backend, Cluster, cluster
from bench.scaling_server import TICKS_A_SECOND, fsync_ms
from ganlib.spec.request import RunRequest
from store.core.db import make_engine, transaction
from store.core.settings import child_environment
from store.runs import lifecycle, recording
from tests.support.processes import children_of, free_port, running
from tests.support.store import claim_run, epoch_record, fill_runs, step_block

REQUEST: dict[str, Any] = {"preset": "mnist-stable"}
CURVE, BLOCK = 20_000, 1000  # points of the curve that is read, and of each piece in which it was recorded
SHOWN = 5000  # points that our server thins a curve out to, at most
BATCH = 1000
PAGE = 50
REAL = 1000
"""The newest runs, whose specs are whole; older ones have none, for the sake of the disk."""
Operation = Callable[[], object]


class Side(Protocol):
    """A server with a run that has a curve."""

    process_ids: list[int]

    def operations(self) -> dict[str, Operation]:
        """What is measured, by its name."""
        ...

    def fill(self, number: int) -> None:
        """Makes so many runs more."""
        ...


class Ours:
    """The API, on one of the two databases."""

    def __init__(self, service: Cluster) -> None:
        self._client = service.client
        self._url = service.environ["GANCLINIC_DATABASE_URL"]
        self.process_ids = [service.api.pid, *([] if service.database is None else [service.database.pid])]
        engine = make_engine(self._url)
        spec = RunRequest(preset="mnist-stable", set={"training.epochs": 10_000})
        with transaction(engine) as session:
            lifecycle.create(session, spec, spec.resolve())
            self._claim = claim_run(session)
            self._epoch = 0
        self.run_id = self._claim.run_id
        self._engine = engine
        for _ in range(CURVE // BLOCK):
            self._record()
        self._copied = 0

    def operations(self) -> dict[str, Operation]:
        """What is measured, by its name."""
        curve = f"/runs/{self._claim.run_id}/series?resolution=step&max_points={SHOWN}"
        return {
            "submit": lambda: self._post("/runs", REQUEST),
            "record 1,000 steps": self._record,
            "read 20,000 points": lambda: self._get(curve),
            "read 20,000 points, thinned out to 1,000": lambda: self._get(curve.replace(str(SHOWN), "1000")),
            f"list {PAGE}": lambda: self._get(f"/runs?limit={PAGE}"),
            f"list {PAGE} by status": lambda: self._get(f"/runs?limit={PAGE}&status=running"),
        }

    def submit_batch(self) -> None:
        """A batch of 1,000."""
        self._post("/batches", {"runs": [REQUEST] * BATCH})

    def fill(self, number: int) -> None:
        """Copies the first run so often."""
        small = {} if self._copied < REAL else {"spec": "'{}'"}
        with transaction(self._engine) as session:
            first = self._copied + 1
            fill_runs(session, self._claim.run_id, number, first=first, status="'succeeded'", **small)
        self._copied += number
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")

    def _record(self) -> None:
        self._epoch += 1
        record = epoch_record(
            self._claim, self._epoch, first_step=(self._epoch - 1) * BLOCK, steps=step_block(self._epoch, BLOCK)
        )
        with transaction(self._engine) as session:
            recording.record_epoch(session, record)

    def _get(self, path: str) -> None:
        self._client.get(path, timeout=120).raise_for_status()

    def _post(self, path: str, document: dict[str, Any]) -> None:
        self._client.post(path, json=document, timeout=120).raise_for_status()


class Mlflow:
    """MLflow's tracking server on SQLite."""

    def __init__(self, client: httpx.Client, database: Path, process_id: int) -> None:
        self._client, self._database = client, database
        self.process_ids = [process_id]
        self._run_id = self._create()
        self._step = 0
        for _ in range(CURVE // BLOCK):
            self._record()
        self._copied = 0

    def operations(self) -> dict[str, Operation]:
        """What is measured, by its name."""
        search = {"experiment_ids": ["0"], "max_results": PAGE, "order_by": ["attributes.start_time DESC"]}
        curve = f"/metrics/get-history?run_id={self._run_id}&metric_key=loss&max_results={CURVE}"
        return {
            "submit": lambda: self._create(),
            "record 1,000 steps": self._record,
            "read 20,000 points": lambda: self._client.get(curve).raise_for_status(),
            f"list {PAGE}": lambda: self._post("/runs/search", search),
            f"list {PAGE} by status": lambda: self._post(
                "/runs/search", search | {"filter": "attributes.status = 'FAILED'"}
            ),
        }

    def fill(self, number: int) -> None:
        """Copies the first run so often."""
        with closing(sqlite3.connect(self._database, timeout=60)) as connection, connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
            own = {"run_uuid": "printf('%032x', n)", "start_time": "start_time - 1000 * n", "status": "'FINISHED'"}
            values = ", ".join(own.get(name, f'"{name}"') for name in columns)
            first = self._copied + 1
            connection.execute(
                f"INSERT INTO runs WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < "  # noqa: S608
                f"{first + number - 1}) SELECT {values} FROM runs, s WHERE run_uuid = ?",
                [self._run_id],
            )
        self._copied += number

    def _create(self) -> str:
        now = int(1000 * time.time())
        answer = self._client.post("/runs/create", json={"experiment_id": "0", "start_time": now})
        answer.raise_for_status()
        return answer.json()["run"]["info"]["run_id"]

    def _record(self) -> None:
        """One metric of 1,000 steps: as many as it takes at once."""
        metrics = [
            {"key": "loss", "value": step / 7, "timestamp": step, "step": step}
            for step in range(self._step, self._step + BLOCK)
        ]
        self._step += BLOCK
        self._post("/runs/log-batch", {"run_id": self._run_id, "metrics": metrics})

    def _post(self, path: str, document: dict[str, Any]) -> None:
        self._client.post(path, json=document, timeout=120).raise_for_status()


@contextmanager
def mlflow(command: str) -> Iterator[Mlflow]:
    """A running server of its own."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        port, database = free_port(), Path(folder) / "mlflow.db"
        client = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}/api/2.0/mlflow", trust_env=False, timeout=120)
        )

        def answers() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success
            except httpx.TransportError:
                return False

        process = stack.enter_context(
            running(
                [
                    *(command, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                    *("--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", folder),
                ],
                log=Path(folder) / "log",
                ready=answers,
                timeout_s=300,
                cwd=Path(folder),
                env={name: value for name, value in child_environment().items() if name != "PYTHONPATH"},
            )
        )
        yield Mlflow(client, database, process.pid)


def cpu_ms(process_ids: list[int]) -> float:
    """CPU time so far of these processes and of all that descend from them, those that have ended included."""
    total, waiting = 0, list(process_ids)
    while waiting:
        process_id = waiting.pop()
        waiting += children_of(process_id)
        try:
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return 1e3 * total / TICKS_A_SECOND


def race(sides: Mapping[str, Side], turns: int) -> dict[str, Any]:
    """Milliseconds of each operation on each side, made in turn, and the servers' CPU time."""
    taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    names = next(iter(sides.values())).operations()
    for name in names:
        offered = {side: server.operations() for side, server in sides.items()}
        operations = {side: all_of[name] for side, all_of in offered.items() if name in all_of}
        for operation in operations.values():
            operation()
        for _ in range(turns):
            for side, operation in operations.items():
                before, started = cpu_ms(sides[side].process_ids), time.perf_counter()
                operation()
                taken[name][side].append(1e3 * (time.perf_counter() - started))
                spent[name][side] += cpu_ms(sides[side].process_ids) - before
    return {
        name: {
            side: quantiles(values) | {"server_cpu_ms": round(spent[name][side] / turns, 1)}
            for side, values in by_side.items()
        }
        for name, by_side in taken.items()
    }


def quantiles(taken: list[float]) -> dict[str, float]:
    """In milliseconds."""
    half, most, nearly_all = np.quantile(taken, [0.5, 0.95, 0.99])
    return {"p50": round(float(half), 1), "p95": round(float(most), 1), "p99": round(float(nearly_all), 1)}


def batches(sides: Mapping[str, Side], turns: int) -> dict[str, Any]:
    """Seconds of a batch of 1,000, which MLflow does not have."""
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(turns):
        for name, side in sides.items():
            if isinstance(side, Ours):
                started = time.perf_counter()
                side.submit_batch()
                taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: quantiles(values) for name, values in taken.items()}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlflow", help="its command; without, only ours is measured")
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--most", type=int, default=1_000_000, help="runs, on PostgreSQL alone")
    options = parser.parse_args()
    found: dict[str, Any] = {"turns": options.turns, "load_before": round(os.getloadavg()[0], 1)}
    with ExitStack() as stack:
        sides: dict[str, Side] = {}
        backends: tuple[Backend, ...] = ("sqlite", "postgresql")
        for backend in backends:
            service = stack.enter_context(cluster(backend, 3, workers=0))
            found.setdefault("fsync_ms", {})[backend] = fsync_ms(service.home)
            sides[f"ours, {backend}"] = Ours(service)
        if options.mlflow:
            sides["MLflow, sqlite"] = stack.enter_context(mlflow(options.mlflow))
            version = subprocess.run([options.mlflow, "--version"], capture_output=True, text=True, check=True).stdout
            found["mlflow"] = version.strip()
        filled = 0
        for number in (1_000, 100_000):
            for side in sides.values():
                side.fill(number - filled)
            filled = number
            found[f"{number:,} runs"] = race(sides, options.turns)
            print(number, found[f"{number:,} runs"], flush=True)
        found["batch of 1,000"] = batches(sides, 5)
        if options.most > filled:
            last = {"ours, postgresql": sides["ours, postgresql"]}
            for first in range(filled, options.most, 100_000):
                last["ours, postgresql"].fill(min(100_000, options.most - first))
            found[f"{options.most:,} runs"] = race(last, options.turns)
    found["load_after"] = round(os.getloadavg()[0], 1)
    print(found, results.write("service", found))


if __name__ == "__main__":
    main()
