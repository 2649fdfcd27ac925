"""The suite's second runs: each finding by several mechanisms, under several objectives, on several data sets.

What a mechanism is hoped to bring about is named, and is no label: see `labels`. Healthy runs are of many kinds, too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.verdicts.configuration import NO_AVERAGE, OBJECTIVES, Configuration, Settings, configuration

POINTS_OBJECTIVES = ("bce", "hinge", "lsgan", "wgan-gp", "relativistic")
IMAGE_OBJECTIVES = ("bce", "hinge", "lsgan")
HEALTHY = "healthy"
FREE: Settings = {**NO_AVERAGE, "penalties.r1": None}
"""Nothing that steadies: neither an average nor a penalty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way of doing it."""

    hope: str
    """What it is hoped to bring about."""
    patch: Settings
    objectives: tuple[str, ...]
    only: tuple[str, ...] = ()
    """Data sets, of its family; empty: all of them."""


def _sgd(rate: float, momentum: float) -> Settings:
    return {
        "optimizer": {"name": "sgd", "learning_rate": rate, "momentum": momentum},
        "discriminator_optimizer": None,
    }


def _rates(generator: float, discriminator: float) -> Settings:
    return {"optimizer.learning_rate": generator, "discriminator_optimizer": {"learning_rate": discriminator}}


CRITIC: Settings = {"objective.name": "wgan", "penalties.r1": None}
SATURATING: Settings = {"objective.name": "saturating-bce"}
JOINED: Settings = {"discriminator.norm.kind": "batch", "training.discriminator_update": "joined_batch"}
DEEP: Settings = {"generator.layers": 9, "generator.norm.kind": "none", "generator.width": 16}

OF_POINTS: Mapping[str, Variant] = {
    "momentum .99": Variant(
        hope="divergence", patch={**FREE, **_sgd(0.3, 0.99)}, objectives=("lsgan", "hinge", "wgan-gp")
    ),
    "rate of 3": Variant(hope="divergence", patch={**FREE, **_rates(3.0, 3.0)}, objectives=("lsgan", "hinge", "bce")),
    "penalty of 1e5": Variant(
        hope="divergence", patch={**NO_AVERAGE, **_sgd(0.1, 0.9), "penalties.r1": 1e5}, objectives=("bce", "lsgan")
    ),
    "critic without bounds": Variant(
        hope="divergence",
        patch={**FREE, **CRITIC, "objective.clip": 1e6, **_sgd(0.05, 0.9)},
        objectives=("wgan",),
    ),
    "joined batches again": Variant(
        hope="both losses vanish",
        patch={**FREE, **JOINED, "generator.norm.kind": "batch"},
        objectives=("hinge", "lsgan", "bce"),
    ),
    "joined batches of 32": Variant(
        hope="both losses vanish", patch={**FREE, **JOINED, "training.batch_size": 32}, objectives=("bce", "lsgan")
    ),
    "10 discriminator steps": Variant(
        hope="discriminator wins",
        patch={**FREE, "training.discriminator_steps": 10, "training.steps_per_epoch": 30},
        objectives=("bce", "hinge", "lsgan", "relativistic"),
    ),
    "discriminator 100 times as fast": Variant(
        hope="discriminator wins", patch={**FREE, **_rates(2e-5, 2e-3)}, objectives=POINTS_OBJECTIVES
    ),
    "discriminator with momentum": Variant(
        hope="discriminator wins",
        patch={**FREE, "generator.width": 8, "discriminator.width": 256, **_rates(1e-4, 5e-3)},
        objectives=("bce", "hinge", "lsgan"),
    ),
    "discriminator at rate 1e-8": Variant(
        hope="discriminator inert", patch={**FREE, **_rates(5e-4, 1e-8)}, objectives=POINTS_OBJECTIVES
    ),
    "penalty of 1e3": Variant(
        hope="discriminator inert", patch={**NO_AVERAGE, "penalties.r1": 1e3}, objectives=("bce", "hinge", "lsgan")
    ),
    "discriminator at rate .3": Variant(
        hope="discriminator inert", patch={**FREE, **_rates(5e-4, 0.3)}, objectives=("bce", "hinge", "relativistic")
    ),
    "mostly dropped discriminator": Variant(
        hope="discriminator inert", patch={**FREE, "discriminator.dropout": 0.95}, objectives=("bce", "hinge", "lsgan")
    ),
    "critic clipped at 30": Variant(
        hope="exploding gradients",
        patch={**FREE, **CRITIC, "objective.clip": 30.0, **_rates(1e-4, 2e-3)},
        objectives=("wgan",),
    ),
    "critic clipped at 1000": Variant(
        hope="exploding gradients",
        patch={**FREE, **CRITIC, "objective.clip": 1000.0, **_rates(1e-5, 5e-3)},
        objectives=("wgan",),
    ),
    "hardly penalised critic": Variant(
        hope="exploding gradients",
        patch={**FREE, "objective.gradient_penalty": 1e-6, **_rates(1e-5, 5e-3)},
        objectives=("wgan-gp",),
    ),
    "steep discriminator": Variant(
        hope="exploding gradients", patch={**FREE, **_rates(1e-6, 2e-2)}, objectives=("hinge", "lsgan")
    ),
    "deep generator": Variant(hope="vanishing gradients", patch={**FREE, **DEEP}, objectives=("bce", "hinge", "lsgan")),
    "saturating loss, 5 steps": Variant(
        hope="vanishing gradients",
        patch={**FREE, **SATURATING, "training.discriminator_steps": 5, "training.steps_per_epoch": 40},
        objectives=("saturating-bce",),
    ),
    "saturating loss, slow generator": Variant(
        hope="vanishing gradients",
        patch={**FREE, **SATURATING, **_rates(2e-5, 5e-3)},
        objectives=("saturating-bce",),
    ),
    "clamped loss, fast discriminator": Variant(
        hope="vanishing gradients",
        patch={**FREE, "objective.name": "clamped-bce", **_rates(1e-5, 2e-2)},
        objectives=("clamped-bce",),
    ),
    "beta1 of .9": Variant(
        hope="no equilibrium",
        patch={**FREE, "optimizer.beta1": 0.9, "discriminator_optimizer": {"learning_rate": 2e-3, "beta1": 0.9}},
        objectives=POINTS_OBJECTIVES,
    ),
    "rates of 3e-3": Variant(hope="no equilibrium", patch={**FREE, **_rates(3e-3, 3e-3)}, objectives=POINTS_OBJECTIVES),
    "momentum .9": Variant(
        hope="no equilibrium", patch={**FREE, **_sgd(0.05, 0.9)}, objectives=("bce", "hinge", "lsgan")
    ),
    "fast generator by 20": Variant(
        hope="mode collapse", patch={**FREE, **_rates(4e-3, 2e-4)}, objectives=POINTS_OBJECTIVES
    ),
    "narrow discriminator": Variant(
        hope="mode collapse",
        patch={**FREE, "discriminator.width": 4, "discriminator.layers": 1},
        objectives=("bce", "hinge", "wgan-gp"),
    ),
    "latent of 1, averaged": Variant(
        hope="mode collapse", patch={"generator.latent_dim": 1}, objectives=("hinge", "lsgan", "relativistic")
    ),
    "two optimisers alike": Variant(
        hope="oscillation",
        patch={**FREE, "optimizer": {"name": "rmsprop", "learning_rate": 2e-3}, "discriminator_optimizer": None},
        objectives=("bce", "hinge", "lsgan"),
    ),
    "small networks, fast": Variant(
        hope="oscillation",
        patch={**FREE, "generator.width": 16, "discriminator.width": 16, **_rates(5e-3, 5e-3)},
        objectives=("bce", "hinge", "wgan-gp"),
    ),
    "plain descent": Variant(
        hope="stalled", patch={**FREE, **_sgd(1e-3, 0.0)}, objectives=("bce", "hinge", "relativistic")
    ),
    "cut to a fifth": Variant(
        hope="slow convergence", patch={"training.steps_per_epoch": 15}, objectives=("bce", "hinge", "lsgan")
    ),
}
"""Of mixtures, by name."""

OF_IMAGES: Mapping[str, Variant] = {
    "momentum .99": Variant(hope="divergence", patch={**FREE, **_sgd(0.5, 0.99)}, objectives=("lsgan", "hinge")),
    "rate of 3": Variant(hope="divergence", patch={**FREE, **_rates(3.0, 3.0)}, objectives=("lsgan", "bce")),
    "joined batches again": Variant(
        hope="both losses vanish", patch={**FREE, **JOINED}, objectives=("hinge", "lsgan", "bce")
    ),
    "joined batches of 32": Variant(
        hope="both losses vanish", patch={**FREE, **JOINED, "training.batch_size": 32}, objectives=("bce",)
    ),
    "discriminator 100 times as fast": Variant(
        hope="discriminator wins", patch={**FREE, **_rates(2e-5, 2e-3)}, objectives=IMAGE_OBJECTIVES
    ),
    "10 discriminator steps": Variant(
        hope="discriminator wins",
        patch={**FREE, "training.discriminator_steps": 10, "training.steps_per_epoch": 6},
        objectives=("hinge", "lsgan"),
    ),
    "wide discriminator": Variant(
        hope="discriminator wins",
        patch={**FREE, "generator.width": 4, "discriminator.width": 32, **_rates(1e-3, 4e-3)},
        objectives=("bce", "hinge"),
    ),
    "discriminator at rate 1e-8": Variant(
        hope="discriminator inert", patch={**FREE, **_rates(1e-3, 1e-8)}, objectives=IMAGE_OBJECTIVES
    ),
    "plain descent at .2": Variant(
        hope="discriminator inert", patch={**FREE, **_sgd(0.2, 0.9)}, objectives=("bce", "hinge", "lsgan")
    ),
    "mostly dropped discriminator": Variant(
        hope="discriminator inert", patch={**FREE, "discriminator.dropout": 0.95}, objectives=("bce", "hinge")
    ),
    "critic clipped at 30": Variant(
        hope="exploding gradients",
        patch={**FREE, **CRITIC, "objective.clip": 30.0, "generator.norm.kind": "none", **_rates(1e-5, 2e-3)},
        objectives=("wgan",),
    ),
    "hardly penalised critic": Variant(
        hope="exploding gradients",
        patch={**FREE, "objective.gradient_penalty": 1e-6, **_rates(1e-5, 5e-3)},
        objectives=("wgan-gp",),
    ),
    "steep discriminator": Variant(
        hope="exploding gradients", patch={**FREE, **_rates(1e-6, 2e-2)}, objectives=("hinge", "lsgan")
    ),
    "saturating loss, 5 steps": Variant(
        hope="vanishing gradients",
        patch={**FREE, **SATURATING, "training.discriminator_steps": 5, "training.steps_per_epoch": 10},
        objectives=("saturating-bce",),
    ),
    "saturating loss, fast discriminator": Variant(
        hope="vanishing gradients", patch={**FREE, **SATURATING, **_rates(1e-4, 1e-2)}, objectives=("saturating-bce",)
    ),
    "clamped loss, fast discriminator": Variant(
        hope="vanishing gradients",
        patch={**FREE, "objective.name": "clamped-bce", **_rates(1e-5, 2e-2)},
        objectives=("clamped-bce",),
    ),
    "beta1 of .9": Variant(
        hope="no equilibrium",
        patch={**FREE, "optimizer.beta1": 0.9, "discriminator_optimizer": {"learning_rate": 1e-3, "beta1": 0.9}},
        objectives=IMAGE_OBJECTIVES,
    ),
    "rates of 8e-3": Variant(hope="no equilibrium", patch={**FREE, **_rates(8e-3, 8e-3)}, objectives=IMAGE_OBJECTIVES),
    "fast generator by 40": Variant(
        hope="mode collapse", patch={**FREE, **_rates(2e-3, 5e-5)}, objectives=IMAGE_OBJECTIVES
    ),
    "latent of 1, averaged": Variant(
        hope="mode collapse", patch={"generator.latent_dim": 1}, objectives=("hinge", "lsgan")
    ),
    "narrow discriminator": Variant(
        hope="mode collapse", patch={**FREE, "discriminator.width": 2}, objectives=("bce", "hinge")
    ),
    "50 images": Variant(
        hope="memorisation",
        patch={**NO_AVERAGE, "dataset.limit": 50, "training.batch_size": 50, "training.steps_per_epoch": 80},
        objectives=IMAGE_OBJECTIVES,
    ),
    "70 images, averaged": Variant(
        hope="memorisation",
        patch={"dataset.limit": 70, "training.batch_size": 70, "training.steps_per_epoch": 80},
        objectives=IMAGE_OBJECTIVES,
    ),
    "100 images, wide": Variant(
        hope="memorisation",
        patch={
            **NO_AVERAGE,
            "dataset.limit": 100,
            "training.batch_size": 50,
            "training.steps_per_epoch": 60,
            "generator.width": 24,
            "discriminator.width": 24,
        },
        objectives=("bce", "hinge"),
    ),
    "small networks, fast": Variant(
        hope="oscillation",
        patch={**FREE, "generator.width": 8, "discriminator.width": 8, **_rates(6e-3, 6e-3)},
        objectives=("bce", "hinge"),
    ),
    "cut to a fifth": Variant(
        hope="slow convergence", patch={"training.steps_per_epoch": 4}, objectives=("bce", "hinge")
    ),
}
"""Of images, by name."""

HEALTHY_POINTS: Mapping[str, Settings] = {
    "usual": {},
    "average of .98": {"remedies.ema.decay": 0.98},
    "latent of 8": {"generator.latent_dim": 8},
    "batches of 256": {"training.batch_size": 256},
    "penalty of .03": {"penalties.r1": 0.03},
    "falling from the middle": {"optimizer.schedule": {"kind": "linear", "start": 0.4}},
}
HEALTHY_IMAGES: Mapping[str, Settings] = {
    "usual": {},
    "wider": {"generator.width": 24, "discriminator.width": 24},
    "latent of 20": {"generator.latent_dim": 20},
    "batches of 100": {"training.batch_size": 100},
    "spectral norm": {"discriminator.norm.kind": "spectral"},
    "slower discriminator": {"discriminator_optimizer": {"learning_rate": 7e-4}},
}
POINTS = ("ring8", "grid25")
IMAGES = ("digits", "fashion", "three digits", "colour")
HEALTHY_SEEDS = {"ring8": 16, "grid25": 6, "digits": 8, "fashion": 6, "three digits": 8, "colour": 3, "eights": 4}
SICK_SEEDS = {"ring8": 2, "grid25": 1}


def more_configurations() -> Iterator[Configuration]:
    """All second configurations, sick and healthy."""
    for variants, sets in ((OF_POINTS, POINTS), (OF_IMAGES, IMAGES)):
        for name, variant in variants.items():
            for objective in variant.objectives:
                for data in variant.only or sets:
                    patch = {**OBJECTIVES.get(objective, {}), **variant.patch}
                    yield configuration(
                        data, objective, name, patch, seeds=SICK_SEEDS.get(data, 1), mechanism=variant.hope
                    )
    for ways, sets in ((HEALTHY_POINTS, POINTS), (HEALTHY_IMAGES, (*IMAGES, "eights"))):
        for name, patch in ways.items():
            for data in sets:
                yield configuration(data, "bce", name, patch, seeds=HEALTHY_SEEDS[data], mechanism=HEALTHY)
