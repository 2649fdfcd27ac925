# pyright: standard
"""Do the presets get the verdicts that their experiments were published for?

    make bench-full-size                             # judge what is recorded: seconds
    python -m bench.full_size record --device cuda   # train what is not recorded; several processes share it

The presets of the eights as they are, 10 seeds each, on the 5,851 eights of MNIST. Those of all digits cut to what a
CPU can do, 2 seeds each, on the 60,000 images of MNIST: networks of a quarter of the width, batches of a quarter and
1,180 of 5,900 or 11,800 updates. Writes bench/results/full_size.json.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench import results
from bench.verdicts.oracle_figures import FIGURES
from bench.verdicts.record import claimed, record
from bench.verdicts.recording import Recording, load, save
from ganlib.diagnosis.replay import replay
from ganlib.spec.request import RunRequest

RECORDINGS = Path(__file__).parent / "recordings"
RECORDED_ON = {
    "eights": "NVIDIA H200, driver 580.159.04, torch 2.11.0+cu130, ten processes at once",
    "digits": "2 cores of an AMD EPYC, torch 2.14.1+cu130 on the CPU",
}
SEEDS = {"digit8": 10, "mnist": 2}
EIGHTS = {
    "digit8-stable": "healthy",
    "digit8-latent-1": "mode collapse",
    "digit8-combined-batch": "convergence failure",
    "digit8-adam-default": "convergence failure",
}
DIGITS = {
    "mnist-stable": "healthy",
    "mnist-latent-1": "mode collapse",
    "mnist-latent-2": "mode collapse",
    "mnist-beta1-0.9": "convergence failure",
    "mnist-lr-0.2": "convergence failure",
}
"""Presets, each with the verdict that was published, or follows from what was."""
CUT = {"generator.width": 32, "discriminator.width": 16, "training.batch_size": 256, "training.epochs": 20}
CUT_STEPS = 59  # an epoch's, as with batches of 1,024


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A run of a preset."""

    preset: str
    seed: int

    @property
    def path(self) -> Path:
        """Of its recording."""
        return RECORDINGS / f"{self.preset}-seed-{self.seed}.npz"

    @property
    def request(self) -> RunRequest:
        """What trains it."""
        cut = CUT | {"training.steps_per_epoch": CUT_STEPS} if self.preset in DIGITS else {}
        return RunRequest(preset=self.preset, set={"seed": self.seed, **cut})


def planned() -> list[Planned]:
    """Seed by seed, so that what is recorded so far is never one-sided."""
    return [
        Planned(preset=preset, seed=seed)
        for seed in range(max(SEEDS.values()))
        for preset in (*DIGITS, *EIGHTS)
        if seed < SEEDS[preset.partition("-")[0]]
    ]


def no_oracle(*_: Any) -> dict[str, float]:
    """Nothing is asked: the published experiment says what is wrong."""
    return dict.fromkeys(FIGURES, float("nan"))


def record_missing(plan: Sequence[Planned], data_dir: Path, device: torch.device) -> None:
    """Train what no other process has begun."""
    for run in plan:
        with claimed(run.path) as mine:
            if not mine:
                continue
            started = time.perf_counter()
            save(record(run.request, data_dir, device=device, ask=no_oracle), run.path)
        print(f"{run.path.stem}: {time.perf_counter() - started:.0f} s", flush=True)


def judged(recording: Recording) -> dict[str, Any]:
    """What the last diagnosis says, and when each of its findings was first seen."""
    last = list(replay(recording.history))[-1]
    return {
        "seed": recording.spec.seed,
        "epochs": recording.spec.training.epochs,
        "verdict": last.verdict,
        "findings": {f.name: {"severity": f.severity, "first_epoch": f.first_epoch} for f in last.findings},
        "seconds": round(recording.seconds, 1),
    }


def main() -> None:
    """Record or judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("judge", "record"), default="judge")
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--only", default="", help="record only presets whose name has this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what == "record":
        plan = [run for run in planned() if options.only in run.preset]
        record_missing(plan, options.data_dir, options.device)
        return
    presets = {
        preset: [judged(load(path)) for path in sorted(RECORDINGS.glob(f"{preset}-seed-*.npz"))]
        for preset in (*EIGHTS, *DIGITS)
    }
    verdicts = {
        preset: {
            "published": published,
            "runs": len(presets[preset]),
            "as_published": sum(run["verdict"] == published for run in presets[preset]),
            "verdicts": dict(Counter(run["verdict"] for run in presets[preset])),
        }
        for preset, published in (EIGHTS | DIGITS).items()
    }
    print(*verdicts.items(), sep="\n")
    print(results.write("full_size", {"recorded_on": RECORDED_ON, "verdicts": verdicts, "presets": presets}))


if __name__ == "__main__":
    main()
