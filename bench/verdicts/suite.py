"""The runs of the suite: which data, which objective, what is wrong, and which part judges them.

A configuration is everything but the seed. Thresholds are calibrated on the part `calibration` and figures reported on
the part `reported`; all seeds of a configuration lie in the same part. An objective (relativistic), a data set
(Fashion-MNIST) and three impairments (HELD_BACK) occur in the reported part alone.

What an impairment is called is a hope, not a label: see `labels`.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from bench.verdicts.adopt import adopted
from bench.verdicts.configuration import (
    HELD_BACK_DATA,
    MIXTURES,
    NO_AVERAGE,
    OBJECTIVES,
    PICTURES,
    Configuration,
    Part,
    Planned,
    Settings,
    configuration,
)
from bench.verdicts.mechanisms import more_configurations

# --- what is wrong ----------------------------------------------------------------------------------------------

OF_POINTS: dict[str, Settings] = {
    "latent of 1": {"generator.latent_dim": 1},
    "no averaging": NO_AVERAGE,
    "equal rates": {**NO_AVERAGE, "optimizer.learning_rate": 1e-3, "discriminator_optimizer": None},
    "Adam defaults": {
        **NO_AVERAGE,
        "optimizer.learning_rate": 1e-3,
        "optimizer.beta1": 0.9,
        "discriminator_optimizer": None,
    },
    "rate 1e-2": {**NO_AVERAGE, "optimizer.learning_rate": 1e-2, "discriminator_optimizer": None},
    "rate 1e-2 in the generator": {**NO_AVERAGE, "optimizer.learning_rate": 1e-2},
    "rate 1e-6 in the generator": {**NO_AVERAGE, "optimizer.learning_rate": 1e-6},
    "rate 1e-1 in the discriminator": {**NO_AVERAGE, "discriminator_optimizer.learning_rate": 1e-1},
    "fast generator": {
        **NO_AVERAGE,
        "optimizer.learning_rate": 1e-3,
        "discriminator_optimizer.learning_rate": 1e-4,
        "penalties.r1": None,
    },
    "tiny generator": {"generator.width": 2, "generator.layers": 1},
    "tiny discriminator": {"discriminator.width": 2, "discriminator.layers": 1, "penalties.r1": None},
    "untrained discriminator": {"discriminator_optimizer.learning_rate": 1e-9},
    "5 discriminator steps": {**NO_AVERAGE, "training.discriminator_steps": 5, "training.steps_per_epoch": 40},
    "cut short": {"training.steps_per_epoch": 10},
    "saturating loss": {
        **NO_AVERAGE,
        "objective.name": "saturating-bce",
        "discriminator_optimizer.learning_rate": 1e-2,
        "penalties.r1": None,
    },
    "joined batches": {
        **NO_AVERAGE,
        "penalties.r1": None,
        "generator.norm.kind": "batch",
        "discriminator.norm.kind": "batch",
        "training.discriminator_update": "joined_batch",
    },
    "momentum": {
        **NO_AVERAGE,
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
        "discriminator_optimizer": None,
    },
    "unclipped critic": {
        **NO_AVERAGE,
        "objective.name": "wgan",
        "objective.clip": 100.0,
        "penalties.r1": None,
        "optimizer.learning_rate": 1e-4,
        "discriminator_optimizer": {"learning_rate": 1.4e-4},
    },
}
"""Of mixtures, by name."""
OF_IMAGES: dict[str, Settings] = {
    "latent of 1": {"generator.latent_dim": 1},
    "latent of 2": {"generator.latent_dim": 2},
    "no averaging": NO_AVERAGE,
    "Adam defaults": {**NO_AVERAGE, "optimizer.learning_rate": 1e-3, "optimizer.beta1": 0.9},
    "rate 2e-2": {**NO_AVERAGE, "optimizer.learning_rate": 2e-2},
    "rate 1e-2 in the discriminator": {**NO_AVERAGE, "discriminator_optimizer": {"learning_rate": 1e-2}},
    "rate 1e-6 in the generator": {
        **NO_AVERAGE,
        "optimizer.learning_rate": 1e-6,
        "discriminator_optimizer": {"learning_rate": 1e-3},
    },
    "saturating loss, slow generator": {
        **NO_AVERAGE,
        "objective.name": "saturating-bce",
        "optimizer.learning_rate": 1e-5,
        "discriminator_optimizer": {"learning_rate": 2e-3},
    },
    "joined batches": {
        **NO_AVERAGE,
        "discriminator.norm.kind": "batch",
        "training.discriminator_update": "joined_batch",
    },
    "fast generator": {**NO_AVERAGE, "discriminator_optimizer": {"learning_rate": 5e-5}},
    "tiny generator": {"generator.width": 1},
    "tiny discriminator": {"discriminator.width": 1},
    "tiny kernels": {"generator.kernel_size": 2, "generator.last_kernel_size": 1, "discriminator.kernel_size": 2},
    "huge kernels": {**NO_AVERAGE, "generator.kernel_size": 12, "discriminator.kernel_size": 12},
    "untrained discriminator": {"discriminator_optimizer": {"learning_rate": 1e-9}},
    "5 discriminator steps": {**NO_AVERAGE, "training.discriminator_steps": 5, "training.steps_per_epoch": 10},
    "cut short": {"training.steps_per_epoch": 3},
    "saturating loss": {
        **NO_AVERAGE,
        "objective.name": "saturating-bce",
        "discriminator_optimizer": {"learning_rate": 4e-3},
    },
    "60 images": {
        **NO_AVERAGE,
        "dataset.limit": 60,
        "training.batch_size": 60,
        "training.steps_per_epoch": 80,
        "generator.width": 24,
        "discriminator.width": 24,
    },
}
"""Of images, by name."""
HEALTHY: dict[str, Settings] = {
    "as it should be": {},
    "wide": {"generator.width": 96, "discriminator.width": 96},
    "large batches": {"training.batch_size": 192},
    "slow average": {"remedies.ema.decay": 0.995},
    "large latent": {"generator.latent_dim": 16},
    "falling rate": {"optimizer.schedule": {"kind": "linear", "start": 0.5}},
    "flat discriminator": {"penalties.r1": 0.05},
    "slower": {"optimizer.learning_rate": 4e-4},
    "wide discriminator": {"discriminator.width": 128},
    "noise on both": {"remedies.instance_noise.std": 0.02},
}
"""Of mixtures: ways of doing it that are all thought to be good."""
OF_OBJECTIVES = ("as it should be", "latent of 1", "fast generator", "Adam defaults")
HEALTHY_SEEDS: dict[Part, int] = {"calibration": 6, "reported": 72}
SEEDS = 3
NATURAL = 48  # runs with settings drawn at random, which nobody chose to fail


# --- configurations ---------------------------------------------------------------------------------------------


def configurations() -> list[Configuration]:
    """All of them."""
    return [*_impaired(), *_of_objectives(), *_healthy(), *_natural(), *_adopted()]


def planned() -> list[Planned]:
    """All runs, first one of each configuration, then the second, …: what is recorded so far is never one-sided."""
    return _by_seed(configurations())


def planned_more() -> list[Planned]:
    """The second runs, shuffled within each seed: what is recorded so far is a fair sample of them.

    Nothing is scored on them before all of their labels are made.
    """
    shuffled = sorted(more_configurations(), key=lambda one: hashlib.sha256(one.name.encode()).digest())
    return _by_seed(shuffled)


def _by_seed(configurations: Iterable[Configuration]) -> list[Planned]:
    all_of_them = [Planned(configuration=one, seed=seed) for one in configurations for seed in range(one.seeds)]
    return sorted(all_of_them, key=lambda run: run.seed)


def _impaired() -> Iterator[Configuration]:
    for data in (*MIXTURES, *PICTURES):
        for variant, patch in (OF_POINTS if data in MIXTURES else OF_IMAGES).items():
            if data == "colour" and "kernels" in variant:
                continue  # minutes a run, and no question that gray images do not answer
            yield configuration(data, "bce", variant, patch, seeds=SEEDS if data in MIXTURES else 2)
    for data in PICTURES:
        yield configuration(data, "bce", "as it should be", {}, seeds=4)


def _of_objectives() -> Iterator[Configuration]:
    for objective, settings in OBJECTIVES.items():
        for data in (*MIXTURES, "digits"):
            known = OF_POINTS if data in MIXTURES else OF_IMAGES
            for variant in OF_OBJECTIVES:
                yield configuration(data, objective, variant, {**known.get(variant, {}), **settings}, seeds=2)


def _healthy() -> Iterator[Configuration]:
    for variant, patch in HEALTHY.items():
        short = configuration("ring8", "bce", variant, {"training.steps_per_epoch": 50, **patch}, seeds=1)
        yield replace(short, seeds=HEALTHY_SEEDS[short.part])
        yield configuration("grid25", "bce", variant, patch, seeds=3)


def _natural() -> Iterator[Configuration]:
    for number in range(NATURAL):
        rng = np.random.default_rng([2024, number])
        data = ("ring8", "grid25", "digits")[number % 3]
        objective = str(rng.choice(["bce", "bce", "hinge", "lsgan"]))
        patch: Settings = {
            **NO_AVERAGE,
            **OBJECTIVES.get(objective, {}),
            "optimizer.learning_rate": _log_uniform(rng, 1e-4, 1e-2),
            "discriminator_optimizer": {"learning_rate": _log_uniform(rng, 1e-4, 1e-2)},
            "optimizer.beta1": float(rng.choice([0.0, 0.5, 0.9])),
            "generator.latent_dim": int(rng.choice([2, 8, 32, 64])),
            "generator.width": int(rng.choice([8, 16, 24])) if data == "digits" else int(rng.choice([16, 64, 128])),
            "training.batch_size": int(rng.choice([32, 64, 128])),
        }
        if rng.random() < 0.5:
            patch["discriminator.norm.kind"] = str(rng.choice(["batch", "spectral"]))
            patch["penalties.r1"] = None
        yield configuration(data, objective, f"drawn {number}", patch, seeds=1)


def _adopted() -> Iterator[Configuration]:
    """Runs whose verdict somebody disputed (see `adopt`)."""
    for run in adopted():
        settings = {name: value for name, value in run.spec.items() if name != "seed"}
        name = run.spec["dataset"]["name"]
        data = HELD_BACK_DATA if name == "fashion-mnist" else name
        objective = run.spec["objective"]["name"]
        variant = f"adopted {run.spec_hash[:12]}"
        yield Configuration(
            data=data, objective=objective, variant=variant, settings=settings, seeds=1, adopted=run.spec_hash
        )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.2g}")
