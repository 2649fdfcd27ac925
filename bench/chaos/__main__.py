"""`python -m bench.chaos`: what random faults leave of runs, on PostgreSQL and on SQLite.

    make chaos                                        # writes bench/results/chaos.json
    python -m bench.chaos --backend sqlite --faults 20 --seed 3 --out /tmp

Real processes (API, two workers with their trainings, broker, database) are killed, stopped and starved in the middle
of their work; then plain SQL counts what was lost, doubled or written by who had lost the run. The exit status is 1
where anything was.
"""

import argparse
import json
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

from bench import results
from bench.chaos.cluster import LEASE_S, SETTINGS, Backend
from bench.chaos.invariants import INVARIANTS
from bench.chaos.storm import Outcome, Plan, rage, recovery

FAULTS = 200  # of each backend
SEED = 20261126
PROMISES = (*INVARIANTS, "other_weights", "refused", "hits_without_progress")
"""Figures that have to be 0."""
ADDED = ("faults", "runs", *PROMISES, "hits", "runs_made_to_crash", "leases_expired")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 where every promise held."""
    arguments = parse_arguments(argv)
    plan = Plan(faults=arguments.faults, seed=arguments.seed)
    signal.signal(signal.SIGTERM, _exit)
    outcomes: dict[str, Outcome] = {}
    for backend in arguments.backend or get_args(Backend):
        outcomes[backend] = rage(backend, plan, print)
        print(f"{backend}: {json.dumps(outcomes[backend].figures, indent=1)}", flush=True)
        print(f"wrote {results.write('chaos', describe(plan, outcomes), arguments.out)}", flush=True)
    return int(any(outcome.figures[promise] for outcome in outcomes.values() for promise in PROMISES))


def _exit(*_: object) -> None:
    """Ends on SIGTERM as on Ctrl-C: the servers are stopped on the way out."""
    sys.exit(1)


def describe(plan: Plan, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """The document."""
    return {
        "seed": plan.seed,
        "lease_s": LEASE_S,
        "heartbeat_s": float(SETTINGS["GANCLINIC_HEARTBEAT_INTERVAL"]),
        "poll_s": float(SETTINGS["GANCLINIC_POLL_INTERVAL"]),
        "max_attempts": plan.max_attempts,
        "sum": add_up(outcomes.values()),
        **{backend: outcome.figures for backend, outcome in outcomes.items()},
    }


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--backend", action="append", choices=get_args(Backend), help="one alone (default: both)")
    parser.add_argument("--faults", type=int, default=FAULTS, help="of each backend (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the faults and their times (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=results.RESULTS, help="directory of chaos.json")
    return parser.parse_args(argv)


def add_up(outcomes: Collection[Outcome]) -> dict[str, Any]:
    """All backends together."""
    figures = [outcome.figures for outcome in outcomes]
    kinds = sorted({kind for of_backend in figures for kind in of_backend["fault_kinds"]})
    return {
        **{name: sum(of_backend[name] for of_backend in figures) for name in ADDED},
        **recovery([one for outcome in outcomes for one in outcome.recoveries]),
        "fault_kinds": {kind: sum(of_backend["fault_kinds"].get(kind, 0) for of_backend in figures) for kind in kinds},
    }


if __name__ == "__main__":
    sys.exit(main())
