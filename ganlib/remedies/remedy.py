# pyright: standard
"""The places of a training where a remedy may act. Each does nothing unless a remedy says otherwise."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from torch import Tensor, nn

from ganlib.objectives.loss import GanLoss
from ganlib.spec.run import RunSpec
from ganlib.training.optimizer import NetworkOptimizer
from ganlib.training.step import DiscriminatorOutcome, StepBatch, Term

Judge = Callable[[StepBatch], Tensor]
"""From a batch to logits."""


class Seen(IntEnum):
    """Whom the discriminator looks at, in which network's update."""

    REALS = 0
    FAKES = 1
    GENERATORS_FAKES = 2
    GENERATORS_REALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a remedy is built into, before the first step."""

    spec: RunSpec
    generator: nn.Module
    discriminator: nn.Module
    discriminator_optimizer: NetworkOptimizer
    loss: GanLoss


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorBatch:
    """The generator's update number `step`, as the discriminator will see it."""

    step: int
    fakes: StepBatch
    """With a graph to the generator."""
    reals: StepBatch | None
    """As many; None where nobody needs them."""
    outputs: Tensor | None = None
    """[n, *shape] what the generator made, where it was made from images; with a graph, and before any view of it."""
    targets: Tensor | None = None
    """[n, *shape] what it was to make of those images."""


class ActingRemedy:
    """What every remedy inherits: doing nothing."""

    needs_reals = False
    """Whether the generator's update must have reals."""
    replaces_loss = False
    """Whether its term stands in for the generator's adversarial loss, which then is only reported."""

    @property
    def sampled(self) -> nn.Module | None:
        """The generator that pictures and evaluation take in place of the trained one."""
        return None

    def shown(self, fakes: Tensor, draw: int) -> Tensor:
        """The fakes [n, *shape] that discriminator update number `draw` shows in place of these."""
        return fakes

    def view(self, samples: Tensor, seen: Seen, index: int) -> Tensor:
        """What the discriminator sees of samples [n, *shape] in update number `index` of the seeing network."""
        return samples

    def discriminator_terms(self, fakes: StepBatch) -> tuple[Term, ...]:
        """What the discriminator minimises, too, in an update on these fakes."""
        return ()

    def generator_term(self, batch: GeneratorBatch) -> Tensor | None:
        """A scalar that the generator minimises, too."""
        return None

    def after_discriminator(self, outcome: DiscriminatorOutcome, *, count: int, step: int) -> None:
        """After a discriminator update on `count` reals, in the generator's step `step`."""

    def after_step(self, steps: int) -> None:
        """After a generator update, `steps` of them being made."""

    def state(self) -> dict[str, Any]:
        """What the remedy's future depends on: tensors, numbers, and dicts and lists of them."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state, whose tensors may be on the CPU."""


def draw_number(seen: Seen, index: int) -> int:
    """One number for each view of each update, to draw from a stream by."""
    return index * len(Seen) + seen
