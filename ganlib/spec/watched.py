"""The specs of a watched run, whose steps another trainer sends, and of a worker's look at it. Imports no torch."""

from typing import Literal

from pydantic import Field

from ganlib.spec.limits import MAX_EPOCH
from ganlib.spec.part import Part
from ganlib.spec.version import SPEC_VERSION

WatchedObjectiveName = Literal[
    "bce",
    "saturating-bce",
    "clamped-bce",
    "lsgan",
    "wgan",
    "wgan-gp",
    "hinge",
    "relativistic",
    "relativistic-hinge",
    "other",
]
"""As `ganlib.foreign_logs.objectives` has them."""
MAX_STEPS = 5_000_000
"""Of a watched run: as many as the log reader takes."""
MOST_SHOWN = 64
"""Samples in an epoch's picture."""


class WatchedObjective(Part):
    """The adversarial loss that the trainer minimises."""

    name: WatchedObjectiveName | None = None
    """Null: inferred from the numbers, as of any log."""


class WatchedReals(Part):
    """The real samples that fakes are compared with."""

    name: Literal["upload"] | None = None
    """Null: there are none; fakes are shown, and compared with nothing."""
    upload: str | None = Field(default=None, max_length=80)
    """Id of an uploaded set."""


class WatchedSamples(Part):
    """The picture of an epoch."""

    count: int = Field(default=MOST_SHOWN, ge=1, le=MOST_SHOWN)
    """Of the fakes that are sent, so many are shown."""


class WatchedSpec(Part):
    """What is known of a training that runs elsewhere."""

    spec_version: Literal[1] = SPEC_VERSION
    kind: Literal["watched"] = "watched"
    seed: int = 0
    """Of nothing: the trainer has its own."""
    objective: WatchedObjective = WatchedObjective()
    dataset: WatchedReals = WatchedReals()
    epochs: int | None = Field(default=None, ge=1, le=MAX_EPOCH)
    """How many the trainer will make; null: nobody knows."""
    samples: WatchedSamples = WatchedSamples()


class LookSpec(Part):
    """A worker's look at the epochs of a watched run that nobody has judged yet. It takes no GPU."""

    spec_version: Literal[1] = SPEC_VERSION
    kind: Literal["look"] = "look"
    run: str
    """Id of the watched run."""
    resources: dict[str, str] = Field(default_factory=lambda: {"device": "cpu"})
