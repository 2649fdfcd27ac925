"""How long a run waits from its submission to its first step, with a training process in reserve and without.

    make bench-first-step   # minutes; writes bench/results/first_step.json

Two services of real processes on SQLite, each with API, broker and one idle worker, in turn. The submission goes over
HTTP; the first step is seen in the database, where the worker reports it at once. What evaluations keep of a data set
is there already, as in a service that has trained on it before.
"""

import os
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import results
from bench.chaos.cluster import Cluster, cluster

REQUESTS: dict[str, dict[str, Any]] = {
    "ring8-stable": {"preset": "ring8-stable"},
    "digit8-stable": {"preset": "digit8-stable", "set": {"dataset.name": "mnist-5k"}},
}
TURNS = 5
LOOK_INTERVAL_S = 0.01
BEGINS = re.compile(r"^(\S+Z) INFO .*begins after epoch 0", re.MULTILINE)
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def rows(service: Cluster, what: str, run_id: str) -> Any:
    """The first value of the row that a query of the run gives."""
    return service.witness.rows(what.format(f"'{run_id}'"))[0][0]


def first_step(service: Cluster, request: dict[str, Any]) -> dict[str, float]:
    """Seconds from the request to each of its stages; the run is cancelled then."""
    sent_at = time.time()
    answer = service.client.post("/runs", json=request)
    answered_at = time.time()
    assert answer.status_code == 202, answer.text
    run_id = answer.json()["id"]
    while rows(service, "SELECT step FROM runs WHERE id = {}", run_id) == 0:
        time.sleep(LOOK_INTERVAL_S)
    stepped_at = time.time()
    claimed_at = float(rows(service, "SELECT min(started_at) FROM attempts WHERE run_id = {}", run_id))
    begun = BEGINS.search((service.home / "logs" / f"{run_id}.1.log").read_text())
    assert begun is not None, "the log says when the training begins"
    begun_at = datetime.fromisoformat(begun[1]).timestamp()
    service.client.post(f"/runs/{run_id}/cancel").raise_for_status()
    while rows(service, "SELECT status FROM runs WHERE id = {}", run_id) == "running":
        time.sleep(LOOK_INTERVAL_S)
    return {
        "answered": answered_at - sent_at,
        "claimed": claimed_at - sent_at,
        "begun": begun_at - sent_at,
        "first step": stepped_at - sent_at,
    }


def settle(service: Cluster) -> None:
    """Waits until the worker's process in reserve, if it has one, has made itself ready."""
    before = -1
    while before != (before := sum(map(_ticks, service.workers[0].trainings()))):
        time.sleep(1.0)


def _ticks(process_id: int) -> int:
    with suppress(OSError):
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    return 0


def quartiles(taken: Sequence[float]) -> dict[str, float]:
    """Median and quartiles, in seconds."""
    low, half, high = np.quantile(taken, [0.25, 0.5, 0.75])
    return {"median": round(float(half), 2), "q25": round(float(low), 2), "q75": round(float(high), 2)}


def main() -> None:
    """Measure and write."""
    found: dict[str, Any] = {"turns": TURNS, "load_before": os.getloadavg()[0]}
    with ExitStack() as stack:
        services = {
            name: stack.enter_context(cluster("sqlite", 1, workers=1, **settings))
            for name, settings in {
                "without spare": {"GANCLINIC_SPARE_TRAINING": "false", "GANCLINIC_POLL_INTERVAL": "5"},
                "with spare": {"GANCLINIC_SPARE_TRAINING": "true", "GANCLINIC_POLL_INTERVAL": "5"},
            }.items()
        }
        for preset, request in REQUESTS.items():
            taken: dict[str, list[dict[str, float]]] = {name: [] for name in services}
            for turn in range(TURNS + 1):
                for name, service in services.items():
                    settle(service)
                    stages = first_step(service, request)
                    if turn > 0:  # the first fills the cache
                        taken[name].append(stages)
                        print(preset, name, {stage: round(seconds, 2) for stage, seconds in stages.items()}, flush=True)
            found[preset] = {
                name: {stage: quartiles([each[stage] for each in all_stages]) for stage in all_stages[0]}
                for name, all_stages in taken.items()
            }
            sides = [[each["first step"] for each in taken[name]] for name in services]
            found[preset]["times as long without"] = quartiles([a / b for a, b in zip(*sides, strict=True)])
    found["load_after"] = os.getloadavg()[0]
    print(found, results.write("first_step", found))


if __name__ == "__main__":
    main()
