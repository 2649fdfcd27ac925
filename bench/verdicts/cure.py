"""Does the first remedy heal? Treat the suite's sick runs, and let the oracle judge.

    make bench-verdicts-cure     # about a minute a run; resumable

A sick run is diagnosed; the first remedy of its first harmful finding, which follows from nothing
but that run's spec and diagnosis, is applied with the seed of another run of the same configuration. That other run is
the untreated control: a cure counts where the control is sick and the treated run is not. Figures are of the reported
part; `--part calibration` is where remedies are chosen, writes no figures, and keeps its recordings out of the tree.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import results
from bench.verdicts.data import COLOUR_FILES, training_data
from bench.verdicts.labels import truth
from bench.verdicts.oracle import CPU
from bench.verdicts.record import path_of, record
from bench.verdicts.recording import RECORDINGS, load, save
from bench.verdicts.score import Judged, judge_all
from bench.verdicts.suite import Part, Planned, planned
from ganlib.diagnosis.prescribe import prescribe
from ganlib.diagnosis.verdict import Finding, Remedy
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop

TREATED: dict[Part, Path] = {"reported": RECORDINGS / "treated", "calibration": Path(".ganclinic/bench/treated")}
PACES = 3  # epochs timed of either side, in turns
UNHARMFUL = {"slow convergence"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A sick run, its first remedy, and the seed that treatment and control share."""

    sick: Planned
    control: Planned
    finding: Finding
    remedy: Remedy

    @property
    def treated(self) -> Planned:
        """The treated run as labels and files call it."""
        of = self.control.configuration
        return Planned(configuration=replace(of, variant=f"{of.variant}, {self.remedy.name}"), seed=self.control.seed)

    @property
    def request(self) -> RunRequest:
        """The control's spec with the remedy's patch."""
        return RunRequest(spec=self.control.request.resolve().model_dump(mode="json"), set=self.remedy.patch)

    @property
    def path(self) -> Path:
        """Where the treated run's recording lies."""
        return TREATED[self.sick.configuration.part] / f"{self.treated.id}.npz"


def cases(judged: list[Judged]) -> Iterator[Case]:
    """One a configuration that is sick, was found to be, and was recorded with two seeds."""
    recorded = {(r.configuration.name, r.seed): r for r in planned() if path_of(r).exists()}
    for run in judged:
        if run.run.seed != 0 or not run.truth.labels - UNHARMFUL:
            continue
        if run.run.configuration.data == "colour" and not COLOUR_FILES.samples.exists():
            continue
        harmful = [f for f in run.diagnoses[-1].findings if f.severity != "mild"]
        control = recorded.get((run.run.configuration.name, 1))
        if not harmful or control is None:
            continue
        remedies = prescribe(harmful[0].name, run.run.request.resolve())
        if remedies:
            yield Case(sick=run.run, control=control, finding=harmful[0], remedy=remedies[0])


def outcome(case: Case) -> dict[str, Any] | None:
    """How a case went; None where the treated run is not recorded yet, or the control is not sick."""
    if not case.path.with_suffix(".json").exists():
        return None
    control, treated = load(path_of(case.control)), load(case.path)
    before = truth(case.control, control).labels - UNHARMFUL
    after = truth(case.treated, treated).labels - UNHARMFUL
    if not before:
        return None
    return {
        "run": case.sick.id,
        "finding": case.finding.name,
        "remedy": case.remedy.name,
        "control": sorted(before),
        "treated": sorted(after),
        "healed": not after,
        "time_ratio": json.loads(case.path.with_suffix(".json").read_text())["time_ratio"],
    }


def effects(rows: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """What is to be said of each remedy for each finding: `ganlib.diagnosis.effects.EFFECTS`."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["finding"], row["remedy"]), []).append(row)
    return {
        key: f"healed {sum(row['healed'] for row in found)} of {len(found)} such runs of the suite, at "
        f"{float(np.median([row['time_ratio'] for row in found])):.1f} times the training time"
        for key, found in sorted(groups.items())
    }


def _time_ratio(case: Case, data_dir: Path) -> float:
    """Training time of the treated run over the control's, both in this process: recordings come from two machines."""
    control, treated = case.control.request.resolve(), case.request.resolve()
    paces: dict[str, list[float]] = {"control": [], "treated": []}
    for _ in range(PACES):
        paces["control"].append(_epoch_seconds(control, data_dir))
        paces["treated"].append(_epoch_seconds(treated, data_dir))
    ratio = float(np.median(paces["treated"])) * treated.training.epochs
    return round(ratio / (float(np.median(paces["control"])) * control.training.epochs), 2)


def _epoch_seconds(spec: RunSpec, data_dir: Path) -> float:
    """Seconds of the second epoch of a run, without evaluation."""
    epochs = TrainingLoop(spec, training_data(spec.dataset, data_dir, spec.seed), device=CPU).epochs()
    next(epochs)
    started = time.perf_counter()
    next(epochs)
    return time.perf_counter() - started


def main() -> None:
    """Treat what is not treated yet, and write how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--most", type=int, default=1000, help="runs to treat at most")
    parser.add_argument("--part", choices=TREATED, default="reported")
    parser.add_argument("--only", default="", help="treat only runs whose name has this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [case for case in cases(judge_all(options.part)) if options.only in case.sick.configuration.name]
    for case in found[: options.most]:
        if case.path.with_suffix(".json").exists():  # by now: others may share the work with another `--only`
            continue
        ratio = _time_ratio(case, options.data_dir)
        save(record(case.request, options.data_dir), case.path)
        case.path.with_suffix(".json").write_text(json.dumps({"time_ratio": ratio}) + "\n")
        print(json.dumps(outcome(case)), flush=True)
    if options.part != "reported" or options.only:
        return
    rows = [row for case in found if (row := outcome(case)) is not None]
    healed = [row["healed"] for row in rows]
    ratios = sorted(row["time_ratio"] for row in rows)
    print(
        results.write(
            "cures",
            {
                "cases": len(rows),
                "first_remedy_cure_rate": round(sum(healed) / len(healed), 3) if healed else None,
                "cure_time_ratio": ratios[len(ratios) // 2] if ratios else None,
                "rows": rows,
            },
        )
    )


if __name__ == "__main__":
    main()
