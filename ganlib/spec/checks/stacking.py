"""Which runs can be trained together, as one stack of networks in one process. Imports no torch.

Runs of one key have networks of the same shapes that are updated in the same way on data of the same size. They may
differ in what is a number of each: seed, rates, betas, weights of penalties, first weights, epochs, and in all that
is done with their samples.
"""

import hashlib
import json
import math
from typing import Any

from ganlib.spec.checks.precision import needs_float32
from ganlib.spec.data import MixtureDataset, UploadDataset
from ganlib.spec.fields import RunFields
from ganlib.spec.layers import NoNorm
from ganlib.spec.networks import MlpDiscriminator, MlpGenerator
from ganlib.spec.optimizer import Adam

OBJECTIVES = ("bce", "saturating-bce", "clamped-bce", "lsgan", "hinge", "wgan-gp")
REMEDIES = ("label_smoothing", "ema", "instance_noise")
LARGEST_BATCH = 8192
"""A batch that is larger fills the cores by itself."""
OWN_OF_TRAINING = {"epochs", "precision"}


def why_alone(spec: RunFields) -> str | None:
    """What in the spec lets it be trained only alone, its field first; None where it can be part of a stack."""
    return _of_networks(spec) or _of_updates(spec) or _of_resources(spec)


def stack_key(spec: RunFields) -> str | None:
    """SHA-256 of what the runs of a stack have in common, 64 hex digits; None for one that is trained alone."""
    if why_alone(spec) is not None:
        return None
    shared: dict[str, Any] = {
        "dataset": spec.dataset.model_dump(mode="json"),
        "generator": spec.generator.model_dump(mode="json", exclude={"init"}),
        "discriminator": spec.discriminator.model_dump(mode="json", exclude={"init"}),
        "objective": spec.objective.name,
        "penalties": sorted(spec.all_penalties.model_dump(exclude_none=True)),
        "remedies": sorted(spec.remedies.model_dump(exclude_none=True)),
        "training": spec.training.model_dump(mode="json", exclude=OWN_OF_TRAINING),
        "resources": spec.resources.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def member_bytes(spec: RunFields) -> int:
    """Memory that one more member of a stack takes at most: its data, weights with moments, and a step's values."""
    hidden = sum(
        getattr(part, "width", 0) * getattr(part, "layers", 0) for part in (spec.generator, spec.discriminator)
    )
    weights = sum(
        getattr(part, "width", 0) * (getattr(part, "width", 0) * getattr(part, "layers", 0) + inputs + 4)
        for part, inputs in ((spec.generator, spec.generator.latent_dim), (spec.discriminator, _values(spec)))
    )
    batch = max(spec.training.batch_size, spec.discriminator_batch_size)
    evaluated = (spec.evaluation.num_samples + spec.samples.count) * _values(spec)
    return 4 * (
        spec.dataset.size * _values(spec) + 16 * weights + 16 * batch * (hidden + _values(spec)) + 8 * evaluated
    )


def _values(spec: RunFields) -> int:
    return math.prod(spec.data.shape)


def _of_networks(spec: RunFields) -> str | None:
    if not isinstance(spec.dataset, MixtureDataset | UploadDataset) or len(spec.data.shape) != 1:
        return "dataset: only runs on points are stacked"
    for name, part in (("generator", spec.generator), ("discriminator", spec.discriminator)):
        if not isinstance(part, MlpGenerator | MlpDiscriminator):
            return f"{name}.family: only 'mlp' is stacked"
        if not isinstance(part.norm, NoNorm):
            return f"{name}.norm: only 'none' is stacked"
        if part.dropout:
            return f"{name}.dropout: only 0 is stacked"
        if part.condition != "none":
            return f"{name}.condition: only 'none' is stacked"
    if getattr(spec.discriminator, "minibatch", None) is not None:
        return "discriminator.minibatch: it is not stacked"
    return None


def _of_updates(spec: RunFields) -> str | None:
    if spec.objective.name not in OBJECTIVES:
        return f"objective: '{spec.objective.name}' is not stacked"
    for name, optimizer in (("optimizer", spec.optimizer), ("discriminator_optimizer", spec.discriminator_optimizer)):
        if optimizer is not None and not isinstance(optimizer, Adam):
            return f"{name}: only 'adam' is stacked"
    for name in type(spec.remedies).model_fields:
        if getattr(spec.remedies, name) is not None and name not in REMEDIES:
            return f"remedies.{name}: it is not stacked"
    if spec.training.discriminator_update != "together":
        return "training.discriminator_update: only 'together' is stacked"
    if max(spec.training.batch_size, spec.discriminator_batch_size) > LARGEST_BATCH:
        return f"training.batch_size: only batches of up to {LARGEST_BATCH} are stacked"
    may_be_bf16 = spec.training.precision == "auto" and needs_float32(spec) is None
    if spec.training.precision == "bf16" or may_be_bf16:
        return "training.precision: only 'float32' is stacked"
    return None


def _of_resources(spec: RunFields) -> str | None:
    if spec.resources.gpus != 1:
        return "resources.gpus: a run on several GPUs has them for itself"
    if spec.resources.max_hours is not None:
        return "resources.max_hours: a step of a stack takes longer than one of the run alone"
    return None
