"""How many updates a run makes, how, and which picture of its samples is kept. Imports no torch."""

from typing import Literal

from pydantic import Field

from ganlib.spec.part import Part

DiscriminatorUpdate = Literal["together", "half_batches", "joined_batch"]
SettledPrecision = Literal["float32", "bf16"]
"""What an attempt multiplies in."""
Precision = Literal["float32", "bf16", "auto"]
"""What a spec wants."""


class Training(Part):
    """How many updates are made, and how."""

    epochs: int = Field(default=10, ge=1, le=100_000)
    """Epochs, each with its samples, evaluation and diagnosis."""
    steps_per_epoch: int | None = Field(default=None, ge=1, le=1_000_000)
    """Generator updates an epoch; null: one pass over the data."""
    batch_size: int = Field(default=128, ge=1, le=65_536)
    """Fakes in a generator update."""
    discriminator_batch_size: int | None = Field(default=None, ge=1, le=65_536)
    """Reals, and as many fakes, in a discriminator update; null: `batch_size`."""
    discriminator_steps: int = Field(default=1, ge=1, le=100)
    """Discriminator updates before each generator update (k). Where it is missing, the objective's usual number."""
    discriminator_update: DiscriminatorUpdate = "together"
    """`together`: reals and fakes pass separately, one optimizer step on both losses. `half_batches`: a step on
    the reals, then a step on the fakes. `joined_batch`: one pass over reals and fakes joined in a batch."""
    sampling: Literal["without_replacement", "with_replacement"] = "without_replacement"
    """How reals are drawn."""
    fake_statistics: Literal["batch", "moving"] = "batch"
    """Statistics of the generator's batch norms while it makes fakes for the discriminator."""
    precision: Precision = "float32"
    """What the networks multiply in. `bf16`: layers in bfloat16; weights, statistics, losses, updates, samples and
    evaluation in float32. `auto`: bf16 where the worker multiplies at least 1.25 times as fast in it; float32 with
    gradient penalties, unrolling and spectral norm, with which bf16 is refused."""
    checkpoint_every_epochs: int = Field(default=1, ge=1)
    """A checkpoint is written after every this many epochs, and after the last."""


class Samples(Part):
    """The picture stored each epoch, always from the same latents."""

    count: int = Field(default=64, ge=2, le=1024)
    """Samples in the picture; one alone has no batch statistics."""
