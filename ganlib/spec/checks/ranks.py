"""What can be trained by several processes at once, each with its part of every batch. Imports no torch."""

from ganlib.spec.fields import RunFields
from ganlib.spec.layers import BatchNorm
from ganlib.spec.networks import PluginDiscriminator, PluginGenerator

SEPARABLE_REMEDIES = ("label_smoothing", "historical_averaging", "ema")
"""They look at one sample at a time, or at the weights."""


def check_ranks(spec: RunFields) -> None:
    """Returns where a run on several GPUs computes what it would on one.

    Raises:
        ValueError: something couples the samples of a batch; its field is named first.
    """
    if spec.resources.gpus == 1:
        return
    if spec.resources.gpu_memory_gb is not None:
        raise ValueError("resources.gpu_memory_gb: a run on several GPUs has them for itself; allowed: null")
    _check_batches(spec)
    for name, part in (("generator", spec.generator), ("discriminator", spec.discriminator)):
        _check_network(name, part)
    for name in type(spec.remedies).model_fields:
        if getattr(spec.remedies, name) is not None and name not in SEPARABLE_REMEDIES:
            allowed = ", ".join(f"'{separable}'" for separable in SEPARABLE_REMEDIES)
            raise ValueError(
                f"remedies.{name}: draws for, or compares, samples of a whole batch, which is split over "
                f"resources.gpus = {spec.resources.gpus}; allowed: null (of the remedies only {allowed})"
            )


def _check_batches(spec: RunFields) -> None:
    gpus, training = spec.resources.gpus, spec.training
    field = "batch_size" if training.discriminator_batch_size is None else "discriminator_batch_size"
    for name, size in (("batch_size", training.batch_size), (field, spec.discriminator_batch_size)):
        if size % gpus:
            raise ValueError(f"training.{name}: {size} cannot be split evenly over resources.gpus = {gpus}")
    left = spec.dataset.size % spec.discriminator_batch_size
    if training.sampling == "without_replacement" and left % gpus:
        raise ValueError(
            f"training.{field}: the last batch of a pass over the data has {left} samples, which cannot be split "
            f"evenly over resources.gpus = {gpus}; choose another size, or training.sampling = 'with_replacement'"
        )


def _check_network(name: str, part: object) -> None:
    if isinstance(part, PluginGenerator | PluginDiscriminator):
        raise ValueError(f"{name}: of a plugin nobody knows whether it looks at whole batches; use resources.gpus = 1")
    if isinstance(getattr(part, "norm", None), BatchNorm):
        raise ValueError(
            f"{name}.norm: 'batch' takes its statistics from a whole batch, which several GPUs split; allowed: "
            "'instance', 'group', 'spectral', 'none', or resources.gpus = 1"
        )
    for field in ("dropout", "minibatch"):
        if getattr(part, field, None):
            raise ValueError(f"{name}.{field}: draws for, or compares, a whole batch; use resources.gpus = 1 with it")
