"""A configuration of the suite, everything of a run but its seed, and the parts that configurations lie in."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from bench.verdicts.adopt import adopted
from ganlib.spec.request import RunRequest

Part = Literal["calibration", "reported", "sealed"]
Settings = dict[str, Any]

EPOCHS = 40  # evaluations: four of them in the first tenth of the budget

HELD_BACK_OBJECTIVE = "relativistic"
HELD_BACK_DATA = "fashion"
CALIBRATION_OF_256 = 64  # bytes of a digest: a quarter of the configurations that are not held back
HELD_BACK = ("huge kernels", "saturating loss", "5 discriminator steps")

# --- data -------------------------------------------------------------------------------------------------------

POINTS: Settings = {
    "generator.family": "mlp",
    "discriminator.family": "mlp",
    "generator.layers": 3,
    "discriminator.layers": 3,
    "optimizer.learning_rate": 5e-4,
    "discriminator_optimizer": {"learning_rate": 2e-3},
    "remedies.ema.decay": 0.99,
    "penalties.r1": 0.01,
    "training.epochs": EPOCHS,
    "training.steps_per_epoch": 100,
    "evaluation.num_samples": 1000,
    "training.checkpoint_every_epochs": EPOCHS,
}
IMAGES: Settings = {
    "generator.family": "deconv",
    "discriminator.family": "conv",
    "generator.width": 16,
    "discriminator.width": 16,
    "generator.latent_dim": 50,
    "generator.norm.kind": "batch",
    "optimizer.learning_rate": 1e-3,
    "remedies.ema.decay": 0.98,
    "training.batch_size": 64,
    "training.epochs": EPOCHS,
    "training.steps_per_epoch": 20,
    "evaluation.num_samples": 500,
    "training.checkpoint_every_epochs": EPOCHS,
}
COLOUR = "c0105000c0105000"  # the id under which bench.verdicts.data finds the colour upload
BASES: dict[str, Settings] = {
    "ring8": {"dataset.name": "ring8", **POINTS, "training.steps_per_epoch": 60},
    "grid25": {"dataset.name": "grid25", **POINTS},
    "digits": {"dataset.name": "mnist-5k", **IMAGES},
    "eights": {"dataset.name": "mnist-5k", "dataset.classes": [8], **IMAGES},
    "three digits": {"dataset.name": "mnist-5k", "dataset.classes": [0, 1, 7], **IMAGES},
    "fashion": {"dataset.name": "fashion-mnist", "dataset.limit": 5000, **IMAGES},
    "colour": {
        "dataset": {
            "name": "upload",
            "upload": COLOUR,
            "shape": [3, 32, 32],
            "class_counts": [500] * 10,
        },
        **IMAGES,
        "generator.width": 24,
        "discriminator.width": 24,
    },
}
MIXTURES = ("ring8", "grid25")
PICTURES = ("digits", "eights", "three digits", "fashion", "colour")

NO_AVERAGE: Settings = {"remedies.ema": None}
OBJECTIVES: dict[str, Settings] = {
    "hinge": {"objective.name": "hinge"},
    "lsgan": {"objective.name": "lsgan"},
    "wgan-gp": {
        "objective.name": "wgan-gp",
        "training.discriminator_steps": 2,
        "penalties.r1": None,
    },
    "relativistic": {"objective.name": "relativistic", "objective.gamma": 0.05, "penalties.r1": None},
}

# --- configurations ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything of a run but its seed."""

    data: str
    objective: str
    variant: str
    """What was done to it; "as it should be" and the other names of HEALTHY are hoped to be healthy."""
    settings: Settings
    seeds: int
    adopted: str | None = None
    """Hash of the spec that somebody disputed the verdict of; None: made for the suite."""
    mechanism: str | None = None
    """What was planted in a run of `mechanisms`: many variants may plant the same. None: of the suite's first runs."""

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.data}, {self.objective}, {self.variant}"

    @property
    def part(self) -> Part:
        """Which part it lies in; decided by its name alone.

        Nothing is calibrated on what is held back. The first runs have no sealed part: their verdicts have been seen.
        """
        held_back = self.objective == HELD_BACK_OBJECTIVE or self.data == HELD_BACK_DATA or self.variant in HELD_BACK
        digest = hashlib.sha256(self.name.encode()).digest()[0]
        if self.mechanism is None:
            return "calibration" if digest % 2 and not held_back else "reported"
        if held_back or digest >= CALIBRATION_OF_256:
            return "sealed" if digest % 2 else "reported"
        return "calibration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One run of the suite."""

    configuration: Configuration
    seed: int

    @property
    def id(self) -> str:
        """Name of its files: letters, digits and dashes."""
        words = "".join(c if c.isalnum() else " " for c in self.configuration.name).split()
        return "-".join([*words, str(self.seed)])

    @property
    def request(self) -> RunRequest:
        """What to train."""
        seed = self.seed
        if self.configuration.adopted is not None:
            seed = next(run.spec["seed"] for run in adopted() if run.spec_hash == self.configuration.adopted)
        parts: Settings = {"dataset": {}, "generator": {}, "discriminator": {}, "seed": seed}
        return RunRequest(spec=parts, set=self.configuration.settings)


def configuration(
    data: str, objective: str, variant: str, patch: Settings, *, seeds: int, mechanism: str | None = None
) -> Configuration:
    """The settings of the data set with the patch's in their place."""
    settings = merged(BASES[data], patch)
    return Configuration(
        data=data, objective=objective, variant=variant, settings=settings, seeds=seeds, mechanism=mechanism
    )


def merged(base: Settings, patch: Settings) -> Settings:
    """The settings with the patch's in their place: `a` replaces what the base has at `a` and below it."""
    kept = {
        path: value
        for path, value in base.items()
        if not any(path == changed or path.startswith(f"{changed}.") for changed in patch)
    }
    return {path: value for path, value in {**kept, **patch}.items() if value is not None}
