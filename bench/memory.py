"""Whether the memory of an API process is flat over 10,000 requests, and that of a worker over 100 runs.

    make bench-memory   # ten minutes; writes bench/results/memory.json

The API is a real process on SQLite, asked over HTTP for lists, runs, curves and pictures in turn. The worker's part is
its slot and its supervision in a process of its own; its trainings are small scripts that report steps and fail, since
what a training takes is given back with its process. Memory is what the process has to itself and has written to.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import results
from bench.chaos.cluster import CHECKOUT, Cluster, cluster
from bench.service import Ours
from store.core.db import WORKER_CONNECTIONS, make_engine, transaction, upgrade
from store.core.settings import Settings
from tests.support.store import create_run
from worker.host.slot import Slot
from worker.host.supervise import supervise

REQUESTS, REQUESTS_A_LOOK = 10_000, 1_000
RUNS, RUNS_A_LOOK = 120, 20
TRAINING = """
import json, sys
sys.stdin.readline()
for step in range(1, 200): print(json.dumps({"event": "stepped", "step": step}))
print("words " * 10_000, file=sys.stderr)
print(json.dumps({"event": "failed", "kind": "Made", "error": "up"}))
"""


def private_mib(process_id: int) -> float:
    """MiB of memory that the process shares with no file and no other."""
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    [kib] = [int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:")]
    return round(kib / 1024, 1)


def of_api(service: Cluster) -> list[float]:
    """After the first 1,000 requests and each 1,000 more."""
    ours = Ours(service)
    operations = [work for name, work in ours.operations().items() if name.startswith(("read", "list"))]
    run = f"/runs/{ours.run_id}"
    operations += [lambda: service.client.get(run), lambda: service.client.get(f"{run}/samples")]
    found: list[float] = []
    for number in range(1, REQUESTS + 1):
        if number % 250 == 0:
            service.client.get(f"{run}/figures/losses.svg", timeout=60).raise_for_status()
        else:
            operations[number % len(operations)]()
        if number % REQUESTS_A_LOOK == 0:
            found.append(private_mib(service.api.pid))
    return found


def of_worker() -> list[float]:
    """In a process of its own: after the first 20 runs and each 20 more."""
    command = [sys.executable, "-m", "bench.memory", "--worker"]
    done = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


def work() -> None:
    """Trains, and prints MiB."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            home=Path(folder), database_url=f"sqlite:///{folder}/clinic.db", broker_url="redis://nowhere"
        )
        engine = make_engine(settings.database, connections=WORKER_CONNECTIONS)
        upgrade(engine)

        def train(claim: Any, is_stopping: Any, share: Any) -> bool:
            command = [sys.executable, "-S", "-c", TRAINING]
            return supervise(claim, is_stopping, share, engine=engine, settings=settings, command=command)

        slot = Slot("worker-1", train, engine=engine, settings=settings)
        for _ in range(RUNS // RUNS_A_LOOK):
            with transaction(engine) as session:
                for _ in range(RUNS_A_LOOK):
                    create_run(session)
            slot.drain()
            print(private_mib(os.getpid()), flush=True)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", action="store_true", help="be the worker")
    if parser.parse_args().worker:
        work()
        return
    with cluster("sqlite", 3, workers=0) as service:
        found = {"api_mib": of_api(service), "worker_mib": of_worker()}
    figures = {
        "requests_a_look": REQUESTS_A_LOOK,
        "runs_a_look": RUNS_A_LOOK,
        **found,
        "load": round(os.getloadavg()[0], 1),
    }
    print(figures, results.write("memory", figures))


if __name__ == "__main__":
    main()
