"""Do the presets do what was published?

    make bench-published   # 22 trainings, about an hour on 2 cores; writes bench/results/published.json

Two parts. The eights: means of the last 100 of 450 steps over 3 seeds at width 64 on 500 eights, beside those of a
plain PyTorch loop with the same settings. The learning rate of .2: how 10 seeds of `mnist-lr-0.2` end, at width 32,
batch 256 and 160 steps, on full MNIST where it is at hand, else on mnist-5k.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from bench import results
from bench.record import Planned, record_all
from bench.replay import Recording
from ganlib.records import STEP_COLUMNS
from ganlib.spec.request import RunRequest

COLUMNS = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake")
REFERENCE = {
    # A plain loop's means of one seed. The direction alone counts for the last, whose runs relapse.
    "digit8-stable": (0.61, 0.61, 1.07, 0.72, 0.74),
    "digit8-latent-1": (0.37, 0.33, 2.0, 0.85, 0.98),
    "digit8-combined-batch": (0.0, 0.0, 0.003, 1.0, 1.0),
    "digit8-adam-default": (0.13, 0.11, 4.6, 0.97, 0.97),
}
TOLERANCE = {"loss": 0.15, "acc": 0.1}
EIGHTS = {"dataset.name": "mnist-5k", "generator.width": 64, "discriminator.width": 64}
SMALL_MNIST = {
    "generator.width": 32,
    "discriminator.width": 32,
    "training.batch_size": 256,
    "training.epochs": 4,
    "training.steps_per_epoch": 40,
}
LAST_STEPS = 100


def eights_plan() -> list[Planned]:
    """Every digit8 preset at width 64, 3 seeds."""
    return [
        Planned(id=f"check/{p}-s{seed}", request=RunRequest(preset=p, set={"seed": seed, **EIGHTS}))
        for seed in range(3)
        for p in REFERENCE
    ]


def learning_rate_plan(dataset: str) -> list[Planned]:
    """`mnist-lr-0.2`, 10 seeds."""
    return [
        Planned(
            id=f"lr-{dataset}/mnist-lr-0.2-s{seed}",
            request=RunRequest(preset="mnist-lr-0.2", set={"seed": seed, "dataset.name": dataset, **SMALL_MNIST}),
        )
        for seed in range(10)
    ]


def last_means(recording: Recording) -> np.ndarray:
    """[5] means of COLUMNS over the last 100 steps."""
    return recording.steps[-LAST_STEPS:, [STEP_COLUMNS.index(c) for c in COLUMNS]].mean(0, dtype=np.float64)


def summarise_eights(preset: str, recordings: list[Recording]) -> dict[str, Any]:
    """Means over seeds beside the reference, and the verdicts."""
    means = np.mean([last_means(r) for r in recordings], axis=0)
    gaps = {c: abs(m - r) for c, m, r in zip(COLUMNS, means, REFERENCE[preset], strict=True)}
    return {
        "preset": preset,
        "means": dict(zip(COLUMNS, means.round(3).tolist(), strict=True)),
        "reference": dict(zip(COLUMNS, REFERENCE[preset], strict=True)),
        "within_tolerance": all(gap <= TOLERANCE["acc" if "acc" in c else "loss"] for c, gap in gaps.items()),
        "per_seed": [last_means(r).round(3).tolist() for r in recordings],
        "verdicts": [_verdict(r) for r in recordings],
    }


def ending(recording: Recording) -> str:
    """How a discriminator ends: what it calls the last 100 steps' reals and fakes."""
    _, _, _, real, fake = last_means(recording)
    if real >= 0.99 and fake <= 0.01:
        return "everything called real"
    if real <= 0.01 and fake >= 0.99:
        return "everything called fake"
    return "discriminator wins" if min(real, fake) >= 0.9 else "other"


def _verdict(recording: Recording) -> str:
    last = list(recording.diagnoses())[-1]
    return last.findings[0].name if last.findings else last.verdict


def main() -> None:
    """Record what is missing, summarise, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    options = parser.parse_args()
    dataset = "mnist" if (options.data_dir / "MNIST").exists() else "mnist-5k"
    eights, rates = eights_plan(), learning_rate_plan(dataset)
    record_all([*eights, *rates], options.data_dir, options.processes)
    rate_recordings = [Recording(run.path, options.data_dir) for run in rates]
    endings = [ending(r) for r in rate_recordings]
    path = results.write(
        "published",
        {
            "eights": [
                summarise_eights(
                    preset, [Recording(r.path, options.data_dir) for r in eights if r.request.preset == preset]
                )
                for preset in REFERENCE
            ],
            "learning_rate_0.2": {
                "dataset": dataset,
                "settings": SMALL_MNIST,
                "endings": {e: endings.count(e) for e in sorted(set(endings))},
                "verdicts": [_verdict(r) for r in rate_recordings],
            },
        },
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
