# pyright: standard
"""Does each remedy help against the impairment that it was published for?

    make bench-remedies    # about two hours on 2 cores, resumable; writes bench/results/remedies.json

Each case is trained without and with its remedy, over the same seeds. Judged are the last fakes: modes captured and
high-quality share (exact for mixtures; for digits by a classifier trained on 5,000 of them), and coverage of reals
that were not trained on.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import results
from ganlib.data.load import load_dataset, scaled
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.measures.modes import mode_counter
from ganlib.evaluation.measures.neighbours import prdc
from ganlib.evaluation.reference import flat
from ganlib.spec.data import ImageDataset
from ganlib.spec.hashing import spec_hash
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop

RUNS = Path(".ganclinic/bench/remedies")
CPU = torch.device("cpu")
CACHE = Cache(Path(".ganclinic/cache"))
METRICS = ("modes_captured", "high_quality", "coverage")
JUDGED = 1000  # fakes, and reals, behind coverage
SEEDS = 3

POINTS: dict[str, Any] = {
    "generator.family": "mlp",
    "discriminator.family": "mlp",
    "generator.layers": 3,
    "discriminator.layers": 3,
    "optimizer.learning_rate": 1e-3,
    "training.epochs": 1,
    "training.steps_per_epoch": 4000,
    "evaluation.num_samples": 2500,
}
FIVE = {"training.discriminator_steps": 5, "training.steps_per_epoch": 800}  # as many discriminator updates
RING = {"dataset.name": "ring8", **POINTS}
GRID = {"dataset.name": "grid25", **POINTS}
DIGITS: dict[str, Any] = {
    "dataset.name": "mnist-5k",
    "generator.family": "deconv",
    "discriminator.family": "conv",
    "generator.width": 24,
    "discriminator.width": 24,
    "generator.latent_dim": 50,
    "training.batch_size": 64,
    "training.epochs": 1,
    "training.steps_per_epoch": 600,
    "evaluation.num_samples": 1000,
}
FEW_DIGITS = {**DIGITS, "dataset.classes": [8], "dataset.limit": 200}
TIGHT_LATENT = {**DIGITS, "generator.latent_dim": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A remedy and what it answers."""

    remedy: str
    impairment: str
    base: dict[str, Any]
    patch: dict[str, Any]


def on_mixtures(remedy: str, patch: dict[str, Any], impairment: str = "plain GAN that leaves out modes") -> list[Case]:
    """The case on both mixtures."""
    return [Case(remedy=remedy, impairment=impairment, base=base, patch=patch) for base in (RING, GRID)]


def against_a_fast_generator(remedy: str, patch: dict[str, Any]) -> list[Case]:
    """The case on both mixtures, where the generator's rate is 1e-3 and the discriminator's 1e-4: complete collapse."""
    return [
        Case(
            remedy=remedy,
            impairment="generator ten times as fast as the discriminator",
            base={**base, "discriminator_optimizer": {"learning_rate": 1e-4}},
            patch=patch,
        )
        for base in (RING, GRID)
    ]


def against_large_steps(remedy: str, patch: dict[str, Any]) -> list[Case]:
    """The case on both mixtures, where both networks learn at a rate of 1e-2: a plain GAN keeps no mode."""
    return [
        Case(
            remedy=remedy,
            impairment="learning rate of 1e-2",
            base={**base, "optimizer.learning_rate": 1e-2},
            patch=patch,
        )
        for base in (RING, GRID)
    ]


CASES: list[Case] = [
    *on_mixtures("packing, m = 2", {"remedies.packing.samples": 2}),
    *on_mixtures("packing, m = 4", {"remedies.packing.samples": 4}),
    *on_mixtures("feature matching, L2", {"remedies.feature_matching.distance": "l2"}),
    *on_mixtures("feature matching, L1", {"remedies.feature_matching.distance": "l1"}),
    *on_mixtures("feature matching beside the adversarial loss", {"remedies.feature_matching.adversarial": True}),
    *on_mixtures("historical averaging", {"remedies.historical_averaging.weight": 0.01}),
    *on_mixtures("experience replay", {"remedies.replay.pool": 50}),
    *on_mixtures("one-sided label smoothing", {"remedies.label_smoothing.target": 0.9}),
    *on_mixtures("instance noise", {"remedies.instance_noise.std": 0.1}),
    *on_mixtures("moving average of the generator", {"remedies.ema.decay": 0.999}),
    *on_mixtures("R1, γ = 10", {"penalties.r1": 10.0}),
    *on_mixtures("R1, γ = .1", {"penalties.r1": 0.1}),
    *on_mixtures("R1 + R2, γ = .1", {"penalties.r1": 0.1, "penalties.r2": 0.1}),
    *on_mixtures("gradient penalty", {"penalties.gradient": 10.0}),
    *on_mixtures("spectral norm", {"discriminator.norm.kind": "spectral"}),
    *on_mixtures("WGAN-GP", {"objective.name": "wgan-gp", **FIVE}),
    *on_mixtures("hinge", {"objective.name": "hinge"}),
    *on_mixtures("LSGAN", {"objective.name": "lsgan"}),
    *on_mixtures("relativistic", {"objective.name": "relativistic"}),
    *on_mixtures("two time scales", {"discriminator_optimizer": {"name": "adam", "learning_rate": 4e-3}}),
    *on_mixtures("5 discriminator steps", {**FIVE}),
    *on_mixtures("gradient clipping", {"optimizer.clip_norm": 1.0}),
    *on_mixtures("falling learning rate", {"optimizer.schedule": {"kind": "linear", "start": 0.5}}),
    *on_mixtures("twice the steps", {"training.steps_per_epoch": 8000}),
    Case(
        remedy="DiffAugment",
        impairment="200 training images",
        base=FEW_DIGITS,
        patch={"remedies.diff_augment": {"ops": ["translation"]}},
    ),
    Case(
        remedy="adaptive augmentation",
        impairment="200 training images",
        base=FEW_DIGITS,
        patch={"remedies.adaptive_augment": {"ops": ["translation", "cutout"], "images": 5000}},
    ),
    Case(
        remedy="conditional by class, projection",
        impairment="latent of 2: few digits appear",
        base=TIGHT_LATENT,
        patch={"generator.condition": "concat", "discriminator.condition": "projection"},
    ),
    Case(
        remedy="larger latent",
        impairment="latent of 2: few digits appear",
        base=TIGHT_LATENT,
        patch={"generator.latent_dim": 50},
    ),
    Case(
        remedy="batch norm in the generator",
        impairment="no normalisation",
        base=DIGITS,
        patch={"generator.norm.kind": "batch"},
    ),
    Case(
        remedy="dropout of .3 in the generator",
        impairment="no noise but the latent",
        base=DIGITS,
        patch={"generator.dropout": 0.3},
    ),
    Case(
        remedy="a generator for each class",
        impairment="latent of 2: few digits appear",
        base=TIGHT_LATENT,
        patch={
            "generator.condition": "concat",
            "discriminator.condition": "projection",
            "remedies.generators": {"kind": "per_class"},
        },
    ),
    *on_mixtures("mixture of 8 generators", {"remedies.generators": {"kind": "mixture", "count": 8}}),
    *on_mixtures("WGAN with clipping", {"objective.name": "wgan", **FIVE}),
    *on_mixtures("minibatch discrimination, 20 kernels", {"discriminator.minibatch.kernels": 20}),
    *against_a_fast_generator("packing, m = 2", {"remedies.packing.samples": 2}),
    *against_a_fast_generator("packing, m = 4", {"remedies.packing.samples": 4}),
    *against_a_fast_generator("feature matching, L2", {"remedies.feature_matching.distance": "l2"}),
    *against_a_fast_generator("experience replay", {"remedies.replay.pool": 50}),
    *against_a_fast_generator("instance noise", {"remedies.instance_noise.std": 0.1}),
    *against_a_fast_generator("R1, γ = .1", {"penalties.r1": 0.1}),
    *against_a_fast_generator("two time scales", {"discriminator_optimizer.learning_rate": 4e-3}),
    *against_a_fast_generator("feature matching, L1", {"remedies.feature_matching.distance": "l1"}),
    *against_a_fast_generator("relativistic", {"objective.name": "relativistic"}),
    *against_a_fast_generator("hinge", {"objective.name": "hinge"}),
    *against_a_fast_generator("LSGAN", {"objective.name": "lsgan"}),
    *against_a_fast_generator("WGAN-GP", {"objective.name": "wgan-gp", **FIVE}),
    *against_a_fast_generator("5 discriminator steps", {**FIVE}),
    *against_a_fast_generator("spectral norm", {"discriminator.norm.kind": "spectral"}),
    *against_a_fast_generator("mixture of 8 generators", {"remedies.generators": {"kind": "mixture", "count": 8}}),
    *against_a_fast_generator("minibatch discrimination, 20 kernels", {"discriminator.minibatch.kernels": 20}),
    *against_large_steps("gradient clipping", {"optimizer.clip_norm": 1.0}),
    *against_large_steps("falling learning rate", {"optimizer.schedule": {"kind": "linear", "start": 0.5}}),
    *against_large_steps("a tenth of the rate", {"optimizer.learning_rate": 1e-3}),
    *against_large_steps("R1, γ = .1", {"penalties.r1": 0.1}),
    *against_large_steps("gradient penalty", {"penalties.gradient": 10.0}),
    *against_large_steps("spectral norm", {"discriminator.norm.kind": "spectral"}),
    *against_large_steps("relativistic", {"objective.name": "relativistic"}),
    *against_large_steps("moving average of the generator", {"remedies.ema.decay": 0.999}),
    *against_large_steps("instance noise", {"remedies.instance_noise.std": 0.1}),
    *against_a_fast_generator(
        "unrolling, 5 steps", {"remedies.unrolling.steps": 5}
    ),  # last: it takes five times as long
]


def spec_of(settings: dict[str, Any], seed: int) -> RunSpec:
    """The run of these settings."""
    parts: dict[str, Any] = {"dataset": {}, "generator": {}, "discriminator": {}, "seed": seed}
    return RunRequest(spec=parts, set=settings).resolve()


def planned() -> Iterator[tuple[Case, str, int, RunSpec]]:
    """Every training: of which case, `without` or `with`, seed."""
    for case in CASES:
        for seed in range(SEEDS):
            yield case, "without", seed, spec_of(case.base, seed)
            yield case, "with", seed, spec_of({**case.base, **case.patch}, seed)


def path_of(spec: RunSpec) -> Path:
    """Where what a training scored is kept: equal specs are trained once."""
    return RUNS / f"{spec_hash(spec)[:16]}.json"


def train_and_judge(spec: RunSpec) -> None:
    """Train, judge the last fakes, keep the figures."""
    data = load_dataset(spec.dataset, Path(".ganclinic/data"), spec.seed)
    started = time.perf_counter()
    report = list(TrainingLoop(spec, data, device=CPU).epochs())[-1]
    seconds = time.perf_counter() - started
    assert report.fakes is not None
    judge_set = ImageDataset(name="mnist-5k") if spec.dataset.name == "mnist-5k" else spec.dataset
    judge_data = load_dataset(judge_set, Path(".ganclinic/data"), spec.seed + 1000)  # mixtures: points not trained on
    counter = mode_counter(judge_set, judge_data, CACHE, CPU)
    assert counter is not None
    kept = np.isin(judge_data.labels, np.unique(data.labels))  # of the classes that were trained on
    reals = flat(scaled(judge_data))[kept]
    unseen = reals[np.random.default_rng(0).permutation(len(reals))[:JUDGED]]
    found = prdc(unseen, np.nan_to_num(flat(report.fakes[:JUDGED]), nan=1e6), 5)
    figures = counter(report.fakes) | {"coverage": found.coverage, "precision": found.precision, "seconds": seconds}
    path = path_of(spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({name: float(value) for name, value in figures.items()}))
    part.rename(path)
    print(
        spec.dataset.name, path.stem, {m: round(float(figures[m]), 3) for m in METRICS}, f"{seconds:.0f} s", flush=True
    )


def rows() -> list[dict[str, Any]]:
    """A row a case and metric: means over seeds."""
    scores: dict[tuple[int, str], list[dict[str, float]]] = {}
    for index, case in enumerate(CASES):
        for other, side, _, spec in planned():
            if other is case and path_of(spec).exists():
                scores.setdefault((index, side), []).append(json.loads(path_of(spec).read_text()))
    return [
        {
            "remedy": case.remedy,
            "impairment": case.impairment,
            "data": case.base["dataset.name"],
            "metric": metric,
            **{side: _mean(scores[index, side], metric) for side in ("without", "with")},
            **{f"{side}_per_seed": [round(s[metric], 3) for s in scores[index, side]] for side in ("without", "with")},
            "seeds": len(scores[index, "with"]),
        }
        for index, case in enumerate(CASES)
        if (index, "with") in scores and (index, "without") in scores
        for metric in METRICS
    ]


def effect(row: dict[str, Any]) -> str:
    """`better`, `worse` or nothing: whether the means over seeds differ by more than twice their standard error."""
    one, other = (np.array(row[f"{side}_per_seed"]) for side in ("without", "with"))
    error = float(np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))) if len(one) > 1 else np.inf
    gain = row["with"] - row["without"]
    return "" if abs(gain) <= 2 * error or gain == 0 else "better" if gain > 0 else "worse"


def table(found: list[dict[str, Any]]) -> str:
    """The rows as Markdown: a line a remedy and data set."""
    lines = [
        "| remedy | against | data | modes captured | high quality | coverage | shown |",
        "|---|---|---|---|---|---|---|",
    ]
    for first in range(0, len(found), len(METRICS)):
        group = found[first : first + len(METRICS)]
        cells = " | ".join(f"{row['without']:.3g} → {row['with']:.3g}" for row in group)
        shown = ", ".join(f"{row['metric'].replace('_', ' ')} {effect(row)}" for row in group if effect(row))
        head = group[0]
        lines.append(
            f"| {head['remedy']} | {head['impairment']} | {head['data']} | {cells} | {shown or 'no effect shown'} |"
        )
    return "\n".join(lines)


def _mean(scores: list[dict[str, float]], metric: str) -> float:
    return round(float(np.mean([score[metric] for score in scores])), 3)


def _start() -> None:
    torch.set_num_threads(1)


def main() -> None:
    """Train what is missing, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="write what there is as Markdown, and train nothing")
    options = parser.parse_args()
    if options.table:
        print(table(rows()))
        return
    missing = {path_of(spec): spec for _, _, _, spec in planned() if not path_of(spec).exists()}
    with multiprocessing.get_context("spawn").Pool(options.processes, _start) as pool:
        for _ in pool.imap_unordered(train_and_judge, missing.values()):
            results.write("remedies", {"rows": rows()})
    print(results.write("remedies", {"rows": rows()}))


if __name__ == "__main__":
    main()
