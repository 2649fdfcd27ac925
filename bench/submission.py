"""How long a submission takes while the broker is down: the bell is rung off the request.

    make bench-submission   # a minute; writes bench/results/submission.json

Real processes, on SQLite and on PostgreSQL. The broker is killed and the workers with it, so that nothing but the
API is at work; one client submits runs one after the other over HTTP.
"""

import time
from typing import Any

import numpy as np

from bench import results
from bench.chaos.cluster import Backend, Cluster, cluster

SUBMISSIONS = 500
SPEC: dict[str, Any] = {
    "dataset": {"name": "ring8"},
    "generator": {"family": "mlp"},
    "discriminator": {"family": "mlp"},
}


def measure(backend: Backend) -> dict[str, Any]:
    """Milliseconds from request to answer."""
    with cluster(backend, max_attempts=3) as service:
        for worker in service.workers:
            worker.server.kill_all()
        up = _submit(service, SUBMISSIONS // 5)
        service.broker.kill_all()
        down = _submit(service, SUBMISSIONS)
    return {"broker up": _quantiles(up), "broker down": _quantiles(down)}


def _submit(service: Cluster, count: int) -> list[float]:
    taken: list[float] = []
    for _ in range(count):
        started = time.perf_counter()
        answer = service.client.post("/runs", json={"spec": SPEC})
        taken.append(1e3 * (time.perf_counter() - started))
        assert answer.status_code == 202, answer.text
    return taken


def _quantiles(taken: list[float]) -> dict[str, Any]:
    half, most, nearly_all = np.quantile(taken, [0.5, 0.95, 0.99])
    return {
        "n": len(taken),
        "p50_ms": round(float(half), 1),
        "p95_ms": round(float(most), 1),
        "p99_ms": round(float(nearly_all), 1),
    }


def main() -> None:
    """Measure and write."""
    found = {backend: measure(backend) for backend in ("sqlite", "postgresql")}
    print(found, results.write("submission", found))


if __name__ == "__main__":
    main()
