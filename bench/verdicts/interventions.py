# pyright: standard
"""What a small change at the end of a run does to its samples: truth that reads no curve.

From the last weights the training goes on for a sixth of the budget, once as it was and once with each change. Three
times on the way the oracle is asked. What brings the samples on, where going on as before does not, had held them
back: a discriminator that is too good is not there once it begins anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.verdicts.inside_figures import UNCHANGED
from bench.verdicts.oracle_figures import FIGURES, Ask
from ganlib.data.load import DataArrays
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop, TrainingState

LOOKS = 3
SHARE = 6  # one part in so many of the budget
OTHER_SEED = 1_000_003  # added to a run's: other latents, and other first weights where some are wanted
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is changed before the training goes on."""

    generator_rate: float = 1.0
    """Factor of the learning rate."""
    discriminator_rate: float = 1.0
    fresh_discriminator: bool = False
    """Whether the discriminator and its optimizer begin anew."""
    without_momentum: bool = False
    """Whether neither optimizer keeps more of past gradients than a beta1 of .5, or a momentum of 0, does."""
    clip_norm: float | None = None
    """Of the generator's gradient."""
    unsaturated: bool = False
    """Whether a saturating cross-entropy becomes the other one."""


CHANGES: dict[str, Change] = {
    UNCHANGED: Change(),
    "fresh discriminator": Change(fresh_discriminator=True),
    "calm": Change(generator_rate=0.2, discriminator_rate=0.2, without_momentum=True),
    "quiet": Change(generator_rate=0.1, clip_norm=1.0),
    "loud": Change(generator_rate=10.0, unsaturated=True),
}
"""By name; `quiet` and `loud` are of the generator's updates."""


def follow_changes(
    spec: RunSpec, data: DataArrays, state: TrainingState, data_dir: Path, ask: Ask
) -> dict[str, NDArray[np.float32]]:
    """By the change's name, [LOOKS, len(FIGURES)] what the oracle saw of the fakes."""
    return {
        name: np.array(list(_looks(changed_spec(spec, change), change, data, state, data_dir, ask)), np.float32)
        for name, change in CHANGES.items()
    }


def changed_spec(spec: RunSpec, change: Change) -> RunSpec:
    """The spec of the steps that follow: a part of the budget, with constant rates."""
    document = spec.model_dump(mode="json")
    document["seed"] = spec.seed + OTHER_SEED
    steps = max(spec.total_steps // SHARE // LOOKS, 1)
    document["training"] |= {"epochs": LOOKS, "steps_per_epoch": steps, "checkpoint_every_epochs": LOOKS}
    document["evaluation"]["every_epochs"] = 1
    document["diagnosis"] = {}
    document["discriminator_optimizer"] = document["discriminator_optimizer"] or dict(document["optimizer"])
    factors = {"optimizer": change.generator_rate, "discriminator_optimizer": change.discriminator_rate}
    for part, factor in factors.items():
        document[part] = _calmed(document[part], factor, change.without_momentum)
    if change.clip_norm is not None:
        document["optimizer"]["clip_norm"] = change.clip_norm
    if change.unsaturated and spec.objective.name == "saturating-bce":
        document["objective"] = {"name": "bce"}
    return RunRequest(spec=document).resolve()


def _calmed(optimizer: dict[str, Any], factor: float, without_momentum: bool) -> dict[str, Any]:
    found = optimizer | {"learning_rate": min(optimizer["learning_rate"] * factor, 10.0)}
    found["schedule"] = {"kind": "constant"}
    if without_momentum and "beta1" in found:
        found["beta1"] = min(found["beta1"], 0.5)
    if without_momentum and "momentum" in found:
        found["momentum"] = 0.0
    return found


def _looks(
    spec: RunSpec, change: Change, data: DataArrays, state: TrainingState, data_dir: Path, ask: Ask
) -> Iterator[list[float]]:
    loop = TrainingLoop(spec, data, device=CPU)
    if change.fresh_discriminator:
        own = loop.state()
        state = replace(state, discriminator=own.discriminator, discriminator_optimizer=own.discriminator_optimizer)
    loop.warm_start(state)
    for report in loop.epochs():
        assert report.fakes is not None
        figures = ask(spec, data, report.fakes, data_dir)
        yield [figures[name] for name in FIGURES]
