"""How long a sweep of 1,000 runs takes to be queued, in one request.

    make bench-sweep   # a minute; writes bench/results/sweep.json

A real API process on SQLite and on PostgreSQL; processor time is that of the API alone, PostgreSQL's own comes on top.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import results
from bench.events import cpu_s, database
from store.core.db import make_engine, upgrade
from tests.support.worker import Clinic

SWEEP: dict[str, Any] = {
    "base": {"preset": "digit8-stable"},
    "vary": {"optimizer.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True, "points": 50}},
    "seeds": 20,
}
TIMES = 7


def measure(kind: str) -> dict[str, Any]:
    """Seconds of one request, the median of some."""
    with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
        engine = make_engine(url)
        upgrade(engine)
        clinic = Clinic(home=Path(folder), engine=engine, database_url=url)
        taken: list[tuple[float, float]] = []
        with clinic.api() as (process, client):
            for _ in range(TIMES):
                spent, started = cpu_s(process.pid), time.perf_counter()
                answer = client.post("/batches", json={"sweep": SWEEP}, timeout=60)
                taken.append((cpu_s(process.pid) - spent, time.perf_counter() - started))
                assert len(answer.json()["runs"]) == 1000, answer.text
        engine.dispose()
    cpu, wall = np.median(np.array(taken), axis=0)
    return {"runs": 1000, "api_cpu_s": round(float(cpu), 2), "wall_s": round(float(wall), 2)}


def main() -> None:
    """Measure and write."""
    load = os.getloadavg()[0]
    found = {kind: measure(kind) for kind in ("sqlite", "postgresql")}
    print(found, results.write("sweep", {"load_before": round(load, 1), **found}))


if __name__ == "__main__":
    main()
