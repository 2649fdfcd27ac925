# pyright: standard
"""Train loops that are not ours, and count how often the diagnosis of what they leave behind is right.

    make bench-foreign    # about 15 minutes on one core, resumable; writes bench/results/foreign.json

Each of KINDS is trained over SEEDS and judged in three ways, as somebody would who has only the files: by its log, by
its log with fakes and reals, and by the losses of its log alone. What is true comes from `bench.foreign.truth`.
Nothing was set on these trainings.
"""

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

import ganclinic
from bench import results
from bench.foreign.plain_loop import KINDS, train
from bench.foreign.truth import NOTHING_WRONG, Known, known
from ganlib.diagnosis.thresholds import RULESET
from ganlib.diagnosis.treatment import UNFINISHED
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.findings import FindingName

SEEDS = range(4)
STEPS = {"ring8": 2000, "eights": 1200}
"""By the data, of a training that nothing is said of in LONGER."""
LONGER: dict[str, int] = dict.fromkeys(("points", "fast generator", "squashed twice"), 10_000)
"""Those that need the steps of a training that goes well: its samples lie in the narrow modes only then."""
TRAINED = Path(".ganclinic/bench/foreign")
PROBABILITIES = ("D(x)", "D(G(z1))", "D(G(z2))")

Way = Literal["log", "log, fakes and reals", "losses"]
"""What the diagnosis is given; `losses` is the log without its probabilities."""
FULLER: dict[Way, Way] = {"losses": "log", "log": "log, fakes and reals"}
"""The way that has all that this one has, and more."""
FULL: Way = "log, fakes and reals"
Answer = Literal["right", "in part", "undetermined", "wrong"]
"""`in part`: the verdict by another finding, or a finding that is true and not the first. `undetermined` is right of
fakes that were seen, are poor and still improve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one way said of a training."""

    verdict: str
    findings: dict[FindingName, float]
    """Every finding, causes first, with its confidence."""
    harmful: tuple[FindingName, ...]

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> "Said":
        """What the verdict comes to."""
        return cls(
            verdict=diagnosis.verdict,
            findings={f.name: f.confidence for f in diagnosis.findings},
            harmful=tuple(f.name for f in diagnosis.findings if f.severity != "mild"),
        )

    @property
    def first(self) -> str:
        """The finding that gives the verdict, or the verdict without one."""
        return self.harmful[0] if self.harmful else self.verdict


# --- trainings --------------------------------------------------------------------------------------------------


def steps_of(kind: str) -> int:
    """Steps that the kind is trained for."""
    return LONGER.get(kind, STEPS[KINDS[kind].data])


def folder_of(kind: str, seed: int) -> Path:
    """Where the training lies."""
    return TRAINED / "-".join([*kind.split(), str(steps_of(kind)), str(seed)])


def train_missing(kind: str, seed: int) -> Path:
    """The training's folder; it is trained where there is none yet, all or nothing."""
    folder = folder_of(kind, seed)
    if folder.exists():
        return folder
    trained = train(kind, seed, steps_of(kind))
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    trained.save(part)
    np.save(part / "unlogged.npy", trained.unlogged)
    _write_losses(trained.history, part / "losses.csv")
    return part.rename(folder)


def _write_losses(history: dict[str, list[float]], path: Path) -> None:
    kept = {name: values for name, values in history.items() if name not in PROBABILITIES}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(kept)
        writer.writerows(zip(*kept.values(), strict=True))


def ask(folder: Path) -> dict[Way, Said]:
    """What each way says, as `ganclinic diagnose … --d-loss sum` does."""
    log, fakes, real = (folder / name for name in ("history.csv", "fakes.npz", "real.npz"))
    found = {
        "log": ganclinic.diagnose(log, d_loss="sum"),
        FULL: ganclinic.diagnose(log, fakes=fakes, real=real, d_loss="sum"),
        "losses": ganclinic.diagnose(folder / "losses.csv", d_loss="sum"),
    }
    return {way: Said.of(found[way].diagnosis) for way in get_args(Way)}


def _fakes(folder: Path) -> dict[int, NDArray[np.float32]]:
    with np.load(folder / "fakes.npz") as arrays:
        return {int(name.removeprefix("epoch_")): arrays[name] for name in arrays.files}


# --- figures ----------------------------------------------------------------------------------------------------


def answer(way: Way, said: Said, true: Known) -> Answer:
    """How far what was said is true."""
    if said.first in UNFINISHED:
        return "right" if way == FULL and true.expected in ("undetermined", NOTHING_WRONG) else "undetermined"
    if said.first == true.expected or (said.first == "healthy" and true.expected == NOTHING_WRONG):
        return "right"
    same_verdict = bool(said.harmful) and said.verdict == true.expected.split(":")[0]
    return "in part" if same_verdict or said.first in true.labels else "wrong"


def row_of(kind: str, seed: int, true: Known, said: dict[Way, Said]) -> dict[str, Any]:
    """A training, what is true of it and what each way said."""
    return {
        "kind": kind,
        "seed": seed,
        "steps": steps_of(kind),
        "expected": true.expected,
        "labels": list(true.labels),
        "quality": _rounded(true.quality),
        "missing": _rounded(true.missing),
        "ways": {way: _way(way, said, true) for way in said},
    }


def _way(way: Way, said: dict[Way, Said], true: Known) -> dict[str, Any]:
    this, full = said[way], said[FULL]
    return {
        "answer": answer(way, this, true),
        "verdict": this.verdict,
        "findings": list(this.findings),
        "confidence": _rounded(next(iter(this.findings.values()))) if this.findings else None,
        "false": [name for name in this.harmful if name not in true.labels],
        "denied": [name for name in this.harmful if name not in true.labels and name not in full.harmful],
        "surer": surer(this, said[FULLER[way]]) if way in FULLER else [],
    }


def surer(poorer: Said, fuller: Said) -> list[FindingName]:
    """Findings of both that the one that has seen less is surer of."""
    return [name for name, sure in poorer.findings.items() if sure > fuller.findings.get(name, 1.0) + 1e-9]


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By way: how many answers of each sort, runs with false and with denied alarms, and findings it is too sure of."""
    return {way: _total([row["ways"][way] for row in rows]) for way in get_args(Way)}


def _total(found: Sequence[dict[str, Any]]) -> dict[str, int]:
    answers = Counter(one["answer"] for one in found)
    return {
        "runs": len(found),
        **{name.replace(" ", "_"): answers[name] for name in get_args(Answer)},
        "runs_with_false_alarms": sum(bool(one["false"]) for one in found),
        "runs_with_denied_alarms": sum(bool(one["denied"]) for one in found),
        "surer_than_with_more": sum(len(one["surer"]) for one in found),
    }


def by_kind(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By kind: what was expected how often, and right answers of each way."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(row)
    return {
        kind: {
            "runs": len(own),
            "expected": dict(Counter(row["expected"] for row in own)),
            "right": {way: sum(row["ways"][way]["answer"] == "right" for row in own) for way in get_args(Way)},
        }
        for kind, own in kinds.items()
    }


def _rounded(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def main() -> None:
    """Train what is missing, judge everything, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        for seed in SEEDS:
            started = time.perf_counter()
            folder = train_missing(kind, seed)
            true = known(kind, seed, np.load(folder / "unlogged.npy"), _fakes(folder), options.data_dir)
            row = row_of(kind, seed, true, ask(folder))
            rows.append(row)
            said = {way: (one["answer"], one["verdict"]) for way, one in row["ways"].items()}
            print(f"{kind} {seed}: {true.expected}; {said}; {time.perf_counter() - started:.0f} s", flush=True)
    figures = {"ruleset": RULESET, "seeds": len(SEEDS), "totals": totals(rows), "kinds": by_kind(rows), "rows": rows}
    kept = json.loads((results.RESULTS / "foreign.json").read_text())
    path = results.write("foreign", figures | {name: kept[name] for name in ("logs",) if name in kept})
    print(figures["totals"], f"wrote {path}", sep="\n")


if __name__ == "__main__":
    main()
