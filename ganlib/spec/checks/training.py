"""Which batches fit the data, and what the networks are then given. Imports no torch."""

from ganlib.spec.checks.networks import NetworkContext
from ganlib.spec.fields import RunFields


def check_batch(spec: RunFields) -> None:
    """Returns where a discriminator update needs no more reals than there are.

    Raises:
        ValueError: it does; its field is named first.
    """
    if spec.discriminator_batch_size > spec.dataset.size:
        field = "discriminator_batch_size" if spec.training.discriminator_batch_size else "batch_size"
        raise ValueError(
            f"training.{field}: {spec.discriminator_batch_size} is larger than the data set "
            f"({spec.dataset.size} samples); allowed: 1 to {spec.dataset.size}"
        )


def network_context(spec: RunFields) -> NetworkContext:
    """What the networks of that spec must fit."""
    batch, size = spec.discriminator_batch_size, spec.dataset.size
    left = size % batch if spec.training.sampling == "without_replacement" else 0
    joined = 2 if spec.training.discriminator_update == "joined_batch" else 1
    generators, packs = spec.training.batch_size // spec.packing, (left or batch) // spec.packing
    return NetworkContext(
        data=spec.dataset.name,
        shape=spec.data.shape,
        num_classes=spec.num_classes,
        generator_batch=min(spec.training.batch_size, left or batch),
        discriminator_batch=max(spec.training.batch_size, joined * batch),
        smallest_batch=min(generators, joined * packs),
        paired=spec.input_channels > 0,
    )
