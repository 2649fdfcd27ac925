"""Does the first remedy heal? Treat the suite's sick runs, and let the oracle judge.

    make bench-verdicts-cure     # about a minute a run; resumable

A sick run of the reported part is diagnosed; the first remedy of its first harmful finding, which follows from nothing
but that run's spec and diagnosis, is applied with the seed of another run of the same configuration. That other run is
the untreated control: a cure counts where the control is sick and the treated run is not.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench import results
from bench.verdicts.labels import truth
from bench.verdicts.record import path_of, record
from bench.verdicts.recording import RECORDINGS, load, save
from bench.verdicts.score import Judged, judge_all
from bench.verdicts.suite import Configuration, Planned, planned
from ganlib.diagnose.prescribe import prescribe
from ganlib.diagnose.verdict import Finding, Remedy

TREATED = RECORDINGS / "treated"
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
        """The treated run: the control's seed, with the remedy's patch."""
        of = self.control.configuration
        changed: Configuration = replace(
            of, variant=f"{of.variant}, {self.remedy.name}", settings={**of.settings, **self.remedy.patch}
        )
        return Planned(configuration=changed, seed=self.control.seed)

    @property
    def path(self) -> Path:
        """Where the treated run's recording lies."""
        return TREATED / f"{self.treated.id}.npz"


def cases(judged: list[Judged]) -> Iterator[Case]:
    """One a configuration of the reported part that is sick, was found to be, and was recorded with two seeds."""
    recorded = {(r.configuration.name, r.seed): r for r in planned() if path_of(r).exists()}
    for run in judged:
        if run.run.configuration.part != "reported" or run.run.seed != 0 or not run.truth.labels - UNHARMFUL:
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
    if not case.path.exists():
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
        "time_ratio": round(treated.seconds / control.seconds, 2),
    }


def main() -> None:
    """Treat what is not treated yet, and write how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--most", type=int, default=1000, help="runs to treat at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = list(cases(judge_all("reported")))
    for case in [case for case in found if not case.path.exists()][: options.most]:
        save(record(case.treated.request, options.data_dir), case.path)
        print(json.dumps(outcome(case)), flush=True)
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
