"""The memory of a GPU: how much of it a training may take, and what would fit where that does not suffice."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from pydantic import ValidationError

from ganlib.data.load import DataArrays
from ganlib.spec.patching import with_settings
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop

CONTEXT_BYTES = 768 * 1024**2
"""What the driver takes for a process, outside of what torch counts: 742 to 758 MiB on an H200 (docs/scheduling.md)."""
TRIAL_STEPS = 2  # an optimizer makes its state in its first step, beside the gradients of the second
MORE_MEMORY = "train with more memory (a larger resources.gpu_memory_gb where the spec has one, else another GPU)"

logger = logging.getLogger(__name__)


class OutOfMemory(RuntimeError):
    """The memory of the GPU does not suffice; the message names a batch size that fits, or what else to change."""


def limit_memory(device: torch.device, budget: int | None) -> None:
    """Lets this process take `budget` bytes of the GPU's memory; all of it where there is no budget."""
    if budget is not None and device.type == "cuda":
        has_index = device.index is not None  # pyright: ignore[reportUnnecessaryComparison]  torch's own type is wrong
        index = device.index if has_index else torch.cuda.current_device()
        total = int(torch.cuda.get_device_properties(index).total_memory)  # pyright: ignore[reportUnknownArgumentType]
        torch.cuda.set_per_process_memory_fraction(fraction_of(budget, total), index)


def fraction_of(budget: int, total: int) -> float:
    """The share of a GPU with `total` bytes that torch may allocate within a budget, in (0, 1]."""
    return min(1.0, max(budget - CONTEXT_BYTES, 1) / total)


def explain(error: torch.OutOfMemoryError) -> str:
    """What torch says of it, without its advice."""
    return str(error).partition(" If reserved ")[0].strip()


@contextmanager
def evaluating() -> Iterator[None]:
    """Says where the block, an evaluation, is out of memory what to change: it is no matter of the batch size.

    Raises:
        OutOfMemory: the memory does not suffice.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            f"{explain(error)} The evaluation does not fit, whatever the batch size: set a smaller "
            "evaluation.num_samples, another evaluation.space (pixels needs no network) or fewer evaluation.measures, "
            f"or {MORE_MEMORY}"
        ) from None


def advise(
    reason: str,
    spec: RunSpec,
    data: DataArrays,
    device: torch.device,
    *,
    before_a_trial: Callable[[], None] = lambda: None,
) -> OutOfMemory:
    """The error of a training that was out of memory for that reason, which must be gone: smaller ones are tried.

    Raises:
        Whatever `before_a_trial` raises.
    """
    tried: RunSpec | None = None
    for smaller in smaller_batches(spec):
        before_a_trial()
        if _fits(tried := smaller, data, device):
            return OutOfMemory(f"{reason} {_settings_words(spec, tried)}")
    least = "it" if tried is None else f"a batch size of {tried.training.batch_size}"
    return OutOfMemory(f"{reason} Not even {least} fits: make the networks narrower, or {MORE_MEMORY}")


def smaller_batches(spec: RunSpec) -> Iterator[RunSpec]:
    """The spec with smaller batch sizes, falling: a power of two a GPU, for as long as they are allowed."""
    document, training, gpus = spec.model_dump(mode="json"), spec.training, spec.resources.gpus
    part = 1 << (max(training.batch_size, spec.discriminator_batch_size) // gpus - 1).bit_length()
    while (part := part // 2) >= 1:
        size = gpus * part
        settings = {"training.batch_size": min(training.batch_size, size)}
        if training.discriminator_batch_size is not None:
            settings["training.discriminator_batch_size"] = min(training.discriminator_batch_size, size)
        try:
            yield RunSpec.model_validate(with_settings(document, settings))
        except ValidationError:  # e.g. too small for batch norm, for which smaller ones are, too
            return


def _settings_words(spec: RunSpec, smaller: RunSpec) -> str:
    """`a batch size of 64 fits (tried here): --set training.batch_size=64`, with every batch size that changes."""
    names = ("batch_size", "discriminator_batch_size")
    changed = {n: size for n in names if (size := getattr(smaller.training, n)) != getattr(spec.training, n)}
    settings = " ".join(f"--set training.{name}={size}" for name, size in changed.items())
    return f"A batch size of {max(changed.values())} fits (tried on this GPU): {settings}"


def _fits(spec: RunSpec, data: DataArrays, device: torch.device) -> bool:
    """Whether the spec's first steps, and the samples after them, find memory."""
    _release()
    gpus, training = spec.resources.gpus, spec.training
    short: dict[str, int] = {"training.epochs": 1, "training.steps_per_epoch": TRIAL_STEPS, "resources.gpus": 1}
    short["training.batch_size"] = training.batch_size // gpus  # what one process of several takes
    if training.discriminator_batch_size is not None:
        short["training.discriminator_batch_size"] = training.discriminator_batch_size // gpus
    trial = RunSpec.model_validate(with_settings(spec.model_dump(mode="json"), short))
    try:
        next(TrainingLoop(trial, data, device=device).epochs())
    except torch.OutOfMemoryError:
        logger.info("a batch size of %d does not fit either", spec.training.batch_size)
        return False
    finally:
        _release()
    return True


def _release() -> None:
    """Gives back what no tensor holds any more."""
    gc.collect()  # a training refers to itself
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
