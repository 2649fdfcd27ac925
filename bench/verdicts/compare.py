"""Score any detector on the suite's runs, beside what people use today.

    make bench-detectors                                  # minutes; writes bench/results/detectors.json
    make bench-detectors DETECTOR=my_module:my_function   # prints how yours does, and writes nothing

A detector is a function of `ganlib.diagnosis.history.History` to the names of the findings at the run's end.
"""

import argparse
import importlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench import results
from bench.verdicts.baselines import BASELINES, Detector
from bench.verdicts.configuration import Part, Planned
from bench.verdicts.labels import Truth, truth
from bench.verdicts.record import path_of
from bench.verdicts.recording import load
from bench.verdicts.score import f1
from bench.verdicts.suite import planned
from ganlib.findings import FINDING_NAMES, FindingName

PART: Part = "reported"
HARMLESS: frozenset[FindingName] = frozenset({"slow convergence"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a run is, and what each detector said of it."""

    truth: Truth
    said: Mapping[str, frozenset[FindingName]]


def load_detector(name: str) -> Detector:
    """The function that `module:function` names.

    Raises:
        SystemExit: there is none, saying how to name one.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(f"DETECTOR={name}: {error}; it is named as module:function, on Python's path") from None


def ask(run: Planned, names: Sequence[str]) -> Answered:
    """What the detectors of those names say of a recording."""
    recording = load(path_of(run))
    detectors = {name: BASELINES.get(name) or load_detector(name) for name in names}
    return Answered(
        truth=truth(run, recording),
        said={name: frozenset(detector(recording.history)) for name, detector in detectors.items()},
    )


def score(runs: Sequence[Answered], name: str) -> dict[str, Any]:
    """How well a detector tells sick runs from healthy ones, and which finding they have."""
    sick = [run for run in runs if run.truth.labels - HARMLESS]
    healthy = [run for run in runs if run.truth.healthy]
    found = sum(bool(run.said[name] - HARMLESS) for run in sick)
    alarms = sum(bool(run.said[name] - HARMLESS) for run in healthy)
    named = sum(bool(run.said[name] & (run.truth.labels - HARMLESS)) for run in sick)
    return {
        "sick_runs": len(sick),
        "sick_found": found,
        "sick_found_by_a_right_name": named,
        "healthy_runs": len(healthy),
        "alarms_on_healthy": alarms,
        "macro_f1": round(_macro_f1(runs, name), 3),
    }


def _macro_f1(runs: Sequence[Answered], name: str) -> float:
    present: list[FindingName] = [
        finding for finding in FINDING_NAMES if any(finding in run.truth.labels for run in runs)
    ]
    return float(np.mean([_f1(runs, name, finding) for finding in present])) if present else float("nan")


def _f1(runs: Sequence[Answered], name: str, finding: FindingName) -> float:
    both = [(finding in run.said[name], finding in run.truth.labels) for run in runs]
    return f1(both.count((True, True)), both.count((True, False)), both.count((False, True)))


def main() -> None:
    """Score the baselines and write the table; or one detector, and print its row beside the diagnosis'."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", help="module:function")
    options = parser.parse_args()
    names = [*BASELINES] if options.detector is None else ["this diagnosis", options.detector]
    if options.detector is not None:
        load_detector(options.detector)
    runs = [run for run in planned() if path_of(run).exists() and run.configuration.part == PART]
    with ProcessPoolExecutor(2) as pool:
        answered = list(pool.map(partial(ask, names=names), runs, chunksize=8))
    table = {name: score(answered, name) for name in names}
    for name, row in table.items():
        print(f"{name:24s}", row)
    if options.detector is None:
        print(results.write("detectors", {"part": PART, "runs": len(answered), "detectors": table}))


if __name__ == "__main__":
    main()
