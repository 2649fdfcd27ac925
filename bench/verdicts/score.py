"""Diagnose every recording anew and count how often the diagnosis is right.

make bench-verdicts          # under a minute; writes bench/results/verdicts.json
python -m bench.verdicts.score --part calibration --misses    # what thresholds may be fitted on
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench import results
from bench.verdicts.configuration import PICTURES, Part, Planned
from bench.verdicts.labels import DYNAMICS, OUTCOMES, Truth, truth
from bench.verdicts.record import path_of
from bench.verdicts.recording import load
from bench.verdicts.suite import planned
from ganlib.diagnosis.halt import should_halt
from ganlib.diagnosis.history import History
from ganlib.diagnosis.replay import replay
from ganlib.diagnosis.thresholds import RULESET
from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.diagnosis.words import evidence_words
from ganlib.findings import FINDING_NAMES, FindingName
from ganlib.spec.diagnosis import Watch

RECORDED_ON = (
    "2 cores of an AMD EPYC, torch 2.14.1+cu130 on the CPU",
    "16 cores of an Intel Xeon, torch 2.11.0+cu130 on the CPU",
)
"""The recordings in the tree; the file's own machine judged them."""
NAMES: tuple[FindingName, ...] = FINDING_NAMES
RESAMPLES = 1000
SCORED: tuple[Part, ...] = ("calibration", "reported")
"""The first runs have no others."""
OF_CLASSES = ("modes_captured", "modes_total", "high_quality", "mode_kl", "classifier_accuracy")
"""The figures of an evaluation that need the classes of the data."""
WINS: FindingName = "convergence failure: discriminator wins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A recorded run with its labels and every diagnosis it was given."""

    run: Planned
    truth: Truth
    diagnoses: tuple[Diagnosis, ...]
    steps_per_epoch: int
    evaluation_share: float
    """Seconds of evaluation over seconds of training."""
    withheld: frozenset[FindingName] | None = None
    """What the last diagnosis says where it is not told the classes; None for data without any."""

    @property
    def found(self) -> frozenset[FindingName]:
        """What the last diagnosis says."""
        return frozenset(f.name for f in self.diagnoses[-1].findings)

    @property
    def alarms(self) -> dict[FindingName, int]:
        """First epoch of each harmful finding, whether it stayed or not."""
        first: dict[FindingName, int] = {}
        for diagnosis in self.diagnoses:
            for finding in diagnosis.findings:
                if finding.severity in ("moderate", "severe"):
                    first.setdefault(finding.name, diagnosis.epoch)
        return first

    def first_seen(self, name: FindingName) -> int | None:
        """First epoch of the finding, of any severity."""
        return next((d.epoch for d in self.diagnoses if any(f.name == name for f in d.findings)), None)


def judge(run: Planned) -> Judged:
    """Diagnose one recording, epoch by epoch."""
    recording = load(path_of(run))
    return Judged(
        run=run,
        truth=truth(run, recording),
        diagnoses=tuple(replay(recording.history)),
        steps_per_epoch=recording.history.steps_per_epoch,
        evaluation_share=recording.evaluation_seconds / recording.seconds,
        withheld=_without_classes(recording.history) if run.configuration.data in PICTURES else None,
    )


def _without_classes(history: History) -> frozenset[FindingName]:
    """The findings at the end, of evaluations without what a classifier says."""
    blind = [
        replace(
            evaluation,
            values={name: value for name, value in evaluation.values.items() if name not in OF_CLASSES},
            nulls={name: null for name, null in evaluation.nulls.items() if name not in OF_CLASSES},
        )
        for evaluation in history.evaluations
    ]
    *_, last = replay(replace(history, evaluations=tuple(blind)))
    return frozenset(finding.name for finding in last.findings)


def judge_all(part: Part | None = None, processes: int = 2) -> list[Judged]:
    """All that is recorded, or of one part."""
    runs = [r for r in planned() if path_of(r).exists() and part in (None, r.configuration.part)]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(judge, runs, chunksize=4))


# --- figures ----------------------------------------------------------------------------------------------------


def counts(runs: Iterable[Judged], name: FindingName) -> tuple[int, int, int]:
    """True positives, false positives, false negatives of a finding at the end of the budget."""
    both = [(name in r.found, name in r.truth.labels) for r in runs]
    return both.count((True, True)), both.count((True, False)), both.count((False, True))


def withheld(runs: Iterable[Judged]) -> list[Judged]:
    """The runs on labelled images, as they are judged by who does not know the labels."""
    return [
        replace(run, diagnoses=(replace(run.diagnoses[-1], findings=_named(run.withheld)),))
        for run in runs
        if run.withheld is not None
    ]


def _named(names: Iterable[FindingName]) -> tuple[Finding, ...]:
    return tuple(Finding(name=name, severity="none", first_epoch=0, summary="", evidence=()) for name in names)


def f1(hits: int, false: int, missed: int) -> float:
    """Harmonic mean of precision and recall; not a number where the finding is neither there nor found."""
    return 2 * hits / (2 * hits + false + missed) if hits + false + missed else float("nan")


def macro_f1(runs: Sequence[Judged], names: Sequence[FindingName]) -> float:
    """Mean F1 over the findings that some run has."""
    present: list[FindingName] = [name for name in names if any(name in r.truth.labels for r in runs)]
    return float(np.mean([f1(*counts(runs, name)) for name in present])) if present else float("nan")


def interval(runs: Sequence[Judged], names: Sequence[FindingName]) -> list[float]:
    """95 % interval of the macro F1, by drawing configurations (not runs) with replacement."""
    groups: dict[str, list[Judged]] = {}
    for run in runs:
        groups.setdefault(run.run.configuration.name, []).append(run)
    rng = np.random.default_rng(0)
    kept: list[list[Judged]] = list(groups.values())
    draws: list[list[int]] = rng.integers(0, len(kept), (RESAMPLES, len(kept))).tolist()
    drawn = [macro_f1([run for index in draw for run in kept[index]], names) for draw in draws]
    return [round(float(q), 3) for q in np.nanquantile(drawn, [0.025, 0.975])]


def per_finding(runs: Sequence[Judged]) -> dict[str, Any]:
    """Precision, recall and F1 of each finding."""
    table: dict[str, Any] = {}
    for name in NAMES:
        hits, false, missed = counts(runs, name)
        table[name] = {
            "kind": "outcome" if name in OUTCOMES else "dynamic",
            "true": hits + missed,
            "found": hits + false,
            "precision": _share(hits, hits + false),
            "recall": _share(hits, hits + missed),
            "f1": _rounded(f1(hits, false, missed)),
        }
    return table


def confusion(runs: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """How often a run that is (rows) was called (columns), by the first finding of either."""
    table: dict[str, Counter[str]] = {}
    for run in runs:
        is_ = next((n for n in NAMES if n in run.truth.labels), "healthy" if run.truth.healthy else "nothing wrong")
        said = next((n for n in NAMES if n in run.found), run.diagnoses[-1].verdict)
        table.setdefault(is_, Counter())[said] += 1
    return {name: dict(row) for name, row in table.items()}


def delays(runs: Sequence[Judged]) -> list[float]:
    """From the epoch since which the oracle sees it to the finding's first, as shares of the budget.

    Of findings that the oracle dates: mode collapse and memorisation.
    """
    found: list[float] = []
    for run in runs:
        for name, onset in run.truth.onset.items():
            seen = run.first_seen(name)
            if seen is not None and name in run.found:
                found.append(max(0, seen - onset) / len(run.diagnoses))
    return found


def wins_updates(runs: Sequence[Judged]) -> list[int]:
    """Updates from when the discriminator had won for a whole window to the first alarm, at an epoch's end."""
    return [
        max(0, seen * run.steps_per_epoch - run.truth.won_since)
        for run in runs
        if run.truth.won_since is not None and WINS in run.truth.labels and (seen := run.first_seen(WINS)) is not None
    ]


def halting(runs: Sequence[Judged]) -> dict[str, Any]:
    """What halting on any severe finding after three epochs would have saved, and whom it would have stopped."""
    watch = Watch(halt_on=NAMES)
    sick = [r for r in runs if r.truth.labels - {"slow convergence"}]
    halted = {r.run.id: next((d.epoch for d in r.diagnoses if should_halt(d, watch)), None) for r in runs}
    saved = [1 - (halted[r.run.id] or len(r.diagnoses)) / len(r.diagnoses) for r in sick]
    return {
        "sick_runs": len(sick),
        "sick_runs_halted": sum(halted[r.run.id] is not None for r in sick),
        "saved_share_of_sick_runs": _rounded(float(np.mean(saved))) if saved else None,
        "healthy_runs_halted": [r.run.id for r in runs if r.truth.healthy and halted[r.run.id] is not None],
    }


def report(runs: Sequence[Judged]) -> dict[str, Any]:
    """Every figure of the part."""
    healthy = [r for r in runs if r.truth.healthy]
    alarmed = [r for r in healthy if r.alarms]
    late = delays(runs)
    images = [r for r in runs if r.run.configuration.data in PICTURES]
    return {
        "runs": len(runs),
        "configurations": len({r.run.configuration.name for r in runs}),
        "image_runs": len(images),
        "macro_f1": _rounded(macro_f1(runs, NAMES)),
        "macro_f1_interval": interval(runs, NAMES),
        "macro_f1_outcomes": _rounded(macro_f1(runs, OUTCOMES)),
        "macro_f1_dynamics": _rounded(macro_f1(runs, DYNAMICS)),
        "macro_f1_clear_labels": _rounded(clear_macro_f1(runs)),
        "macro_f1_of_images": _rounded(macro_f1(images, NAMES)),
        "macro_f1_of_images_labels_withheld": _rounded(macro_f1(withheld(images), NAMES)),
        "mode_collapse_f1_of_images": _rounded(f1(*counts(images, "mode collapse"))),
        "mode_collapse_f1_of_images_labels_withheld": _rounded(f1(*counts(withheld(images), "mode collapse"))),
        "healthy_runs": len(healthy),
        "false_alarm_runs": len(alarmed),
        "false_alarm_bound": _bound(len(alarmed), len(healthy)),
        "median_alarm_fraction": _rounded(float(np.median(late))) if late else None,
        "d_wins_alarm_updates": _rounded(float(np.median(wins_updates(runs)))) if wins_updates(runs) else None,
        "halting": halting(runs),
        "findings": per_finding(runs),
        "confusion": confusion(runs),
        "misses": misses(runs),
        "argued": {r.run.id: list(r.truth.argued) for r in runs if r.truth.argued},
    }


def elsewhere() -> dict[str, Any]:
    """Figures that other benches measure; null where they were not run."""
    cures = _measured("cures")
    return {
        "overhead_fraction": _measured("overhead").get("overhead_fraction"),
        "cases_treated": cures.get("cases", 0),
        "first_remedy_cure_rate": cures.get("first_remedy_cure_rate"),
        "cure_time_ratio": cures.get("cure_time_ratio"),
    }


def _measured(name: str) -> dict[str, Any]:
    path = results.RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def misses(runs: Sequence[Judged]) -> list[dict[str, Any]]:
    """Every run whose findings are not its labels, with the cause, and every alarm on a healthy one."""
    return [
        {
            "run": r.run.id,
            "missed": {name: cause_of(r, name) for name in sorted(r.truth.labels - r.found)},
            "false": {name: cause_of(r, name) for name in sorted(r.found - r.truth.labels)},
            **({"alarms_on_healthy": r.alarms} if r.truth.healthy and r.alarms else {}),
        }
        for r in runs
        if r.truth.labels != r.found or (r.truth.healthy and r.alarms)
    ]


def cause_of(run: Judged, name: FindingName) -> str:
    """Why the last diagnosis and the label differ about a finding, as far as the two sides' figures tell."""
    if name in run.truth.near:
        return f"at the oracle's limit: {run.truth.near[name]}"
    if name in run.found:
        finding = next(f for f in run.diagnoses[-1].findings if f.name == name)
        return "; ".join(evidence_words(sign) for sign in finding.evidence)
    seen = [d.epoch for d in run.diagnoses if any(f.name == name for f in d.findings)]
    if seen:
        return f"found in {len(seen)} epochs, the last of them {seen[-1]} of {len(run.diagnoses)}"
    if name == "oscillation":
        return "seen by eye in the last 500 steps; no peak of the spectrum is both significant and large"
    others = ", ".join(sorted(run.found)) or "nothing"
    return f"its signals never passed their thresholds; found instead: {others}"


def clear(runs: Sequence[Judged], name: FindingName) -> list[Judged]:
    """The runs whose label of that finding does not hang on the oracle's last digits."""
    return [run for run in runs if name not in run.truth.near]


def clear_macro_f1(runs: Sequence[Judged]) -> float:
    """The macro F1 where, finding by finding, runs at the oracle's limit are left out."""
    present: list[FindingName] = [n for n in NAMES if any(n in r.truth.labels for r in clear(runs, n))]
    return float(np.mean([f1(*counts(clear(runs, name), name)) for name in present])) if present else float("nan")


def _bound(events: int, n: int) -> float | None:
    """Upper 95 % bound of a share (Clopper and Pearson 1934)."""
    if n == 0:
        return None
    from scipy.stats import beta

    return _rounded(float(beta.ppf(0.95, events + 1, n - events))) if events < n else 1.0


def _share(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def main() -> None:
    """Score what is recorded; write the reported part's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=SCORED)
    parser.add_argument("--misses", action="store_true", help="print every miss, and write nothing")
    options = parser.parse_args()
    started = time.perf_counter()
    runs = judge_all(options.part)
    if options.misses:
        for miss in misses(runs):
            print(miss)
    figures = {part: report([r for r in runs if r.run.configuration.part == part]) for part in SCORED}
    for part, row in figures.items():
        print(part, {k: v for k, v in row.items() if k not in ("findings", "confusion", "misses", "argued")})
        for name, line in row["findings"].items():
            print(f"  {name:45s}", {k: v for k, v in line.items() if k != "kind"})
    print(f"{len(runs)} recordings in {time.perf_counter() - started:.0f} s")
    if not options.misses and options.part is None:
        reported = figures["reported"]
        measured = {
            "ruleset": RULESET,
            "recorded_on": RECORDED_ON,
            **reported,
            **elsewhere(),
            "calibration": figures["calibration"],
        }
        print(results.write("verdicts", measured))


if __name__ == "__main__":
    main()
