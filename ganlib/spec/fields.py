"""The fields of a run spec, and what follows from them. Imports no torch."""

import math
from typing import Literal

from pydantic import Field

from ganlib.spec.catalog import DatasetInfo
from ganlib.spec.data import Dataset, PairChoice
from ganlib.spec.diagnosis import Watch
from ganlib.spec.evaluation import Evaluation
from ganlib.spec.networks import Discriminator, Generator
from ganlib.spec.objective import BceObjective, Objective, Penalties, all_penalties
from ganlib.spec.optimizer import Adam, Optimizer
from ganlib.spec.part import Part
from ganlib.spec.remedies import Remedies
from ganlib.spec.resources import Resources
from ganlib.spec.training import Samples, Training
from ganlib.spec.version import SPEC_VERSION


class RunFields(Part):
    """The fields of a run spec and the facts that follow from them. `RunSpec` checks that they fit together."""

    spec_version: Literal[1] = SPEC_VERSION
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seeds everything: weights, latents, data order, evaluation."""
    dataset: Dataset
    """The training data."""
    generator: Generator
    """The network that makes fakes."""
    discriminator: Discriminator
    """The network that tells reals from fakes."""
    objective: Objective = BceObjective()
    """The adversarial loss."""
    penalties: Penalties = Penalties()
    """On the discriminator's gradient, beside the objective's own."""
    optimizer: Optimizer = Adam()
    """Of the generator, and of the discriminator unless `discriminator_optimizer` is given. Without it, or null, the
    objective's usual one; without its `name`, the usual one with changes."""
    discriminator_optimizer: Optimizer | None = None
    """Of the discriminator alone; null: `optimizer`; without its `name`: `optimizer` with changes. Two time scales
    (TTUR, Heusel et al. 2017) are rates of 1e-4 for the generator and 4e-4 here (SAGAN, Zhang et al. 2019)."""
    training: Training = Training()
    remedies: Remedies = Remedies()
    samples: Samples = Samples()
    evaluation: Evaluation = Evaluation()
    diagnosis: Watch = Watch()
    resources: Resources = Resources()

    @property
    def data(self) -> DatasetInfo:
        """Shape and classes of the data set."""
        return self.dataset.info

    @property
    def all_penalties(self) -> Penalties:
        """The objective's own penalties and the added ones."""
        return all_penalties(self.objective, self.penalties)

    @property
    def num_classes(self) -> int:
        """Classes that are trained on; 0 where there are no labels."""
        return len(self.dataset.kept_classes)

    @property
    def packing(self) -> int:
        """Samples that the discriminator sees at once."""
        return self.remedies.packing.samples if self.remedies.packing is not None else 1

    @property
    def input_channels(self) -> int:
        """Channels of the images that samples are made from; 0 where they are made from latents."""
        return self.dataset.input_channels if isinstance(self.dataset, PairChoice) else 0

    @property
    def discriminator_shape(self) -> tuple[int, ...]:
        """Shape of what the discriminator sees: a sample, behind its input if any, or a pack, along the channels."""
        channels, *rest = self.data.shape
        return (self.packing * (self.input_channels + channels), *rest)

    @property
    def discriminator_batch_size(self) -> int:
        """Reals in a discriminator update."""
        return self.training.discriminator_batch_size or self.training.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Generator updates an epoch."""
        if self.training.steps_per_epoch is not None:
            return self.training.steps_per_epoch
        return math.ceil(self.dataset.size / (self.discriminator_batch_size * self.training.discriminator_steps))

    @property
    def total_steps(self) -> int:
        """Generator updates of the whole run."""
        return self.steps_per_epoch * self.training.epochs
