"""Between which values do the signals lie on which the outcome thresholds were set?

    make bench-thresholds   # 21 trainings, about 30 minutes on 2 cores; writes bench/results/thresholds.json

Runs: the demo's (width 32) and the eights' of bench/published.py (width 64), seeds 0 to 2; evaluations after 100
updates.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from bench import demo_verdicts, published, results
from bench.record import Planned, record_all
from bench.replay import Recording
from ganlib.diagnosis.thresholds import WINDOW_UPDATES
from ganlib.records import EpochEvaluation

TUNED_SEEDS = range(3)


def signals(evaluation: EpochEvaluation) -> dict[str, float]:
    """The outcome signals of an evaluation, as `ganlib.diagnosis` makes them."""
    share = {
        name: evaluation.values[name] / evaluation.nulls[name].mean
        for name in ("precision", "coverage", "fake_distance")
    }
    return {
        "quality": min(share["precision"], share["coverage"]),
        "coverage_over_precision": share["coverage"] / share["precision"] if share["precision"] else float("nan"),
        "distance": share["fake_distance"],
        "missing_mass": evaluation.values["missing_mass"],
    }


def ranges(plans: list[Planned], data_dir: Path) -> dict[str, Any]:
    """Least and largest of each signal over the runs' evaluations after the first window."""
    rows = [
        signals(evaluation)
        for recording in (Recording(plan.path, data_dir) for plan in plans)
        for evaluation in recording.evaluations()
        if evaluation.epoch * recording.spec.steps_per_epoch >= WINDOW_UPDATES
    ]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {"evaluations": len(rows)} | {
        name: [round(float(extreme(values[np.isfinite(values)])), 3) for extreme in (np.min, np.max)]
        for name, values in columns.items()
        if np.isfinite(values).any()
    }


def main() -> None:
    """Record what is missing and write the ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    data_dir = Path(".ganclinic/data")
    plans = [*demo_verdicts.plan(TUNED_SEEDS), *published.eights_plan()]
    record_all(plans, data_dir, options.processes)
    found = {
        preset: ranges([p for p in plans if p.request.preset == preset], data_dir) for preset in published.REFERENCE
    }
    path = results.write("thresholds", found)
    for preset, row in found.items():
        print(preset, row)
    print(path)


if __name__ == "__main__":
    main()
