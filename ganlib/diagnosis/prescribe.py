"""From a finding to remedies: spec patches that answer it, the most likely first.

Only the sick run's own spec is looked at. A remedy that its spec does not allow, or that changes nothing, is left out.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ganlib.diagnosis.effects import EFFECTS
from ganlib.diagnosis.verdict import Diagnosis, Remedy
from ganlib.findings import FindingName
from ganlib.spec.optimizer import Adam
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec

CRITICS = ("wgan", "wgan-gp")
"""Objectives that estimate a distance: the better their discriminator, the better, and it takes no momentum."""
ENOUGH_LATENT = 50
"""Below this a small latent is the likeliest cause: the published healthy runs have 50 and more."""
USUAL_LATENT_OF_POINTS = 16
"""In two dimensions; where there are more, twice as many as the data has, up to ENOUGH_LATENT."""
USUAL_BETA1 = 0.5
USUAL_LEARNING_RATE = 2e-4
LARGE_LEARNING_RATE = 1e-3
ENOUGH_MOVEMENT = 0.8
"""Updates times rate: 4,000 updates at the usual rate."""
LEAST_CAPACITY_OF_IMAGES = 1 / 8
LEAST_CAPACITY_OF_POINTS = 1.0
"""Of the families' default width. Convolutions cost what their width costs twice over."""

Patch = dict[str, Any]
Treatment = Callable[[RunSpec], Patch]
"""The changes that a remedy makes to a spec; empty where it does not apply."""


def with_remedies(diagnosis: Diagnosis, spec: RunSpec) -> Diagnosis:
    """The diagnosis with each finding's remedies for a run of this spec."""
    findings = tuple(replace(f, remedies=prescribe(f.name, spec)) for f in diagnosis.findings)
    return replace(diagnosis, findings=findings)


def prescribe(finding: FindingName, spec: RunSpec) -> tuple[Remedy, ...]:
    """Remedies for a finding in a run of this spec, the most likely first; each changes something."""
    remedies: list[Remedy] = []
    for name in PRESCRIPTIONS[finding]:
        reason, treatment = REMEDIES[name]
        patch = _fitting(spec, treatment(spec))
        if patch:
            effect = EFFECTS.get((finding, name), "not measured")
            remedies.append(Remedy(name=name, reason=reason, patch=patch, effect=effect))
    return tuple(remedies)


def _fitting(spec: RunSpec, patch: Patch) -> Patch:
    """What of the patch changes the spec and is allowed, each path on top of those before it."""
    fitting: Patch = {}
    for path, value in patch.items():
        changed = _patched(spec, {path: value})
        if changed not in (None, spec):
            fitting[path], spec = value, changed
    return fitting


def _patched(spec: RunSpec, patch: Patch) -> RunSpec | None:
    """The patched spec; None where it is not allowed."""
    try:
        return RunRequest(spec=spec.model_dump(mode="json"), set=patch).resolve()
    except InvalidRequest:
        return None


def _larger_latent(spec: RunSpec) -> Patch:
    if spec.input_channels or spec.generator.latent_dim >= ENOUGH_LATENT or len(spec.data.shape) == 1:
        return {}
    return {"generator.latent_dim": ENOUGH_LATENT}


def _wider_latent_of_points(spec: RunSpec) -> Patch:
    """A latent with no more dimensions than the data cannot fill it; points of many dimensions do not fill theirs."""
    if len(spec.data.shape) != 1:
        return {}
    dims = spec.data.shape[0]
    if spec.generator.latent_dim > min(dims, ENOUGH_LATENT - 1):
        return {}
    return {"generator.latent_dim": min(max(USUAL_LATENT_OF_POINTS, 2 * dims), ENOUGH_LATENT)}


def _enough_latent_of_points(spec: RunSpec) -> Patch:
    """As many dimensions as the data has, up to what is enough."""
    dims = spec.data.shape[0]
    if len(spec.data.shape) != 1 or spec.generator.latent_dim >= min(dims, ENOUGH_LATENT):
        return {}
    return {"generator.latent_dim": min(dims, ENOUGH_LATENT)}


def _separate_batches(spec: RunSpec) -> Patch:
    if spec.training.discriminator_update != "joined_batch":
        return {}
    patch = {"training.discriminator_update": "half_batches"}
    return patch if _patched(spec, patch) is not None else {"training.discriminator_update": "together"}


def _usual_adam(spec: RunSpec) -> Patch:
    """Where images are learnt with too much momentum; what else differs is left to the usual settings."""
    optimizers = {field: o for field, o in _optimizers(spec).items() if isinstance(o, Adam)}
    if len(spec.data.shape) == 1 or all(o.beta1 <= USUAL_BETA1 for o in optimizers.values()):
        return {}
    patch: Patch = {}
    for field, optimizer in optimizers.items():
        if optimizer.beta1 > USUAL_BETA1:
            patch[f"{field}.beta1"] = USUAL_BETA1
        if optimizer.learning_rate > USUAL_LEARNING_RATE:
            patch[f"{field}.learning_rate"] = USUAL_LEARNING_RATE
    return patch


def _slower_discriminator(spec: RunSpec) -> Patch:
    present = (spec.discriminator_optimizer or spec.optimizer).model_dump()
    return {"discriminator_optimizer": present | {"learning_rate": present["learning_rate"] / 4}}


def _faster_discriminator(spec: RunSpec) -> Patch:
    generator, discriminator = spec.optimizer, spec.discriminator_optimizer
    if discriminator is None or discriminator.learning_rate >= generator.learning_rate:
        return {}
    return {"discriminator_optimizer": None}


def _one_discriminator_step(spec: RunSpec) -> Patch:
    return {} if spec.objective.name in CRITICS else {"training.discriminator_steps": 1}


def _smaller_steps(spec: RunSpec) -> Patch:
    return {
        f"{field}.learning_rate": min(USUAL_LEARNING_RATE, optimizer.learning_rate / 10)
        for field, optimizer in _optimizers(spec).items()
    }


def _quarter_steps(spec: RunSpec) -> Patch:
    return {f"{field}.learning_rate": o.learning_rate / 4 for field, o in _optimizers(spec).items()}


def _clipped_gradients(spec: RunSpec) -> Patch:
    return {f"{field}.clip_norm": 1.0 for field, o in _optimizers(spec).items() if o.clip_norm is None}


def _no_critic_of_points(spec: RunSpec) -> Patch:
    """A critic is to be trained to its optimum at every step, and has no time for it in runs as short as of points."""
    of_points = len(spec.data.shape) == 1
    return {"objective": {"name": "bce"}} if of_points and spec.objective.name in CRITICS else {}


def _non_saturating(spec: RunSpec) -> Patch:
    return {"objective": {"name": "bce"}} if spec.objective.name in ("saturating-bce", "clamped-bce") else {}


def _gradient_penalty_on_reals(spec: RunSpec) -> Patch:
    if spec.all_penalties.r1 is not None or spec.all_penalties.gradient is not None:
        return {}
    return {"penalties.r1": 0.01 if len(spec.data.shape) == 1 else 1.0}


def _averaged_generator(spec: RunSpec) -> Patch:
    return {} if spec.remedies.ema is not None else {"remedies.ema.decay": 0.99}


def _packing(spec: RunSpec) -> Patch:
    return {} if spec.packing > 1 else {"remedies.packing.samples": 2}


def _augmentation(spec: RunSpec) -> Patch:
    if spec.remedies.diff_augment is not None or len(spec.data.shape) == 1:
        return {}
    colours: list[str] = ["colour"] if spec.data.shape[0] == 3 and not spec.input_channels else []
    return {"remedies.diff_augment.ops": [*colours, "translation", "cutout"]}


def _instance_noise(spec: RunSpec) -> Patch:
    return {} if spec.remedies.instance_noise is not None else {"remedies.instance_noise.std": 0.1}


def _longer_training(spec: RunSpec) -> Patch:
    return {"training.epochs": 2 * spec.training.epochs}


def _usual_capacity(spec: RunSpec) -> Patch:
    """Networks as wide and deep as the families' defaults, where they are smaller."""
    patch: Patch = {}
    for role, network in (("generator", spec.generator), ("discriminator", spec.discriminator)):
        for field in ("width", "layers"):
            default = type(network).model_fields[field].default if field in type(network).model_fields else None
            present = getattr(network, field, None)
            if default is not None and present is not None and present < default:
                patch[f"{role}.{field}"] = default
    return patch


def _usual_kernels(spec: RunSpec) -> Patch:
    patch: Patch = {}
    for role, network in (("generator", spec.generator), ("discriminator", spec.discriminator)):
        field = type(network).model_fields.get("kernel_size")
        if field is not None and getattr(network, "kernel_size", None) != field.default:
            patch[f"{role}.kernel_size"] = field.default
    return patch


def _enough_capacity(spec: RunSpec) -> Patch:
    """Networks of less than a share of the families' default width, or of one layer, get that share and the default."""
    patch: Patch = {}
    share = LEAST_CAPACITY_OF_POINTS if len(spec.data.shape) == 1 else LEAST_CAPACITY_OF_IMAGES
    for role, network in (("generator", spec.generator), ("discriminator", spec.discriminator)):
        fields, width = type(network).model_fields, getattr(network, "width", None)
        if width is not None and width < fields["width"].default * share:
            patch[f"{role}.width"] = int(fields["width"].default * share)
        if getattr(network, "layers", None) == 1 and fields["layers"].default is not None:
            patch[f"{role}.layers"] = fields["layers"].default
    return patch


def _all_of_the_data(spec: RunSpec) -> Patch:
    patch = {"dataset.limit": None}
    whole = _patched(spec, patch) if getattr(spec.dataset, "limit", None) is not None else None
    return patch if whole is not None and whole.dataset.size > spec.dataset.size else {}


def _no_norms(spec: RunSpec) -> Patch:
    networks = (("generator", spec.generator), ("discriminator", spec.discriminator))
    return {f"{role}.norm": {"kind": "none"} for role, network in networks if hasattr(network, "norm")}


def _usual_settings(spec: RunSpec) -> Patch:
    """What is usual in every respect but the data, the objective (if it learns in time) and the epochs."""
    patch = _fitting(spec, _usual_but_for_optimizers(spec))
    return patch | _usual_optimizers(spec, _patched(spec, patch) or spec)


def _usual_but_for_optimizers(spec: RunSpec) -> Patch:
    patch: Patch = {
        **_separate_batches(spec),
        **_larger_latent(spec),
        **_enough_latent_of_points(spec),
        **_non_saturating(spec),
        **_no_critic_of_points(spec),
        **_usual_kernels(spec),
    }
    if len(spec.data.shape) == 1:
        penalty = _gradient_penalty_on_reals(_patched(spec, patch) or spec)
        patch |= _no_norms(spec) | penalty | {"training.discriminator_steps": 2}
    else:
        patch |= _one_discriminator_step(spec)
    return patch | _enough_capacity(spec) | _averaged_generator(spec)


def _usual_optimizers(spec: RunSpec, patched: RunSpec) -> Patch:
    """Where an optimizer differs; `patched` has all other settings as they are usual, and with them its updates."""
    of_points = len(spec.data.shape) == 1
    usual: Patch = {
        "name": "adam",
        "learning_rate": _usual_rate(patched),
        "beta1": 0.0 if patched.objective.name in CRITICS else USUAL_BETA1,
        "schedule": {"kind": "linear", "start": 0.0} if of_points else {"kind": "constant"},
    }
    of_discriminator = usual | {"learning_rate": 2 * usual["learning_rate"]} if of_points else usual
    patch: Patch = {}
    if spec.optimizer != Adam.model_validate(usual):
        patch["optimizer"] = usual
    if (spec.discriminator_optimizer or Adam.model_validate(usual)) != Adam.model_validate(of_discriminator):
        patch["discriminator_optimizer"] = of_discriminator if of_points else None
    return patch


def _target_distance(spec: RunSpec) -> Patch:
    return {"remedies.l1.weight": 100.0} if spec.input_channels and spec.remedies.l1 is None else {}


def _optimizers(spec: RunSpec) -> dict[str, Any]:
    """The optimizers that a spec names, by field."""
    found: dict[str, Any] = {"optimizer": spec.optimizer}
    if spec.discriminator_optimizer is not None:
        found["discriminator_optimizer"] = spec.discriminator_optimizer
    return found


def _usual_rate(spec: RunSpec) -> float:
    """Points are learnt by small networks without normalisation, which take larger steps; so do short runs.

    A step of Adam moves a weight by about its rate, and a run has to come somewhere. A rate of images that is as usual
    stays as it is.
    """
    if len(spec.data.shape) == 1:
        return LARGE_LEARNING_RATE
    present = spec.optimizer
    if isinstance(present, Adam) and USUAL_LEARNING_RATE <= present.learning_rate <= LARGE_LEARNING_RATE:
        return present.learning_rate
    return min(LARGE_LEARNING_RATE, max(USUAL_LEARNING_RATE, ENOUGH_MOVEMENT / spec.total_steps))


REMEDIES: dict[str, tuple[str, Treatment]] = {
    "separate batches": (
        "Reals and fakes in one batch share batch-norm statistics that the generator's update does not see.",
        _separate_batches,
    ),
    "larger latent": ("A latent this small cannot carry the variety of the data.", _larger_latent),
    "latent wider than the data": (
        "A latent with no more dimensions than the data has to be folded to reach all of it.",
        _wider_latent_of_points,
    ),
    "usual Adam": ("Adam as DCGAN uses it: less momentum, smaller steps.", _usual_adam),
    "slower discriminator": (
        "A discriminator that learns more slowly leaves the generator a gradient to follow.",
        _slower_discriminator,
    ),
    "as fast a discriminator": (
        "A discriminator slower than the generator is deceived by one mode after another.",
        _faster_discriminator,
    ),
    "one discriminator step": (
        "Fewer discriminator updates leave the generator a gradient to follow.",
        _one_discriminator_step,
    ),
    "a tenth of the rate": ("Smaller steps keep the weights finite.", _smaller_steps),
    "a quarter of the rate": ("Smaller steps damp the chase of the two networks.", _quarter_steps),
    "gradient clipping": (
        "A bound on the gradient keeps one bad batch from throwing the weights away.",
        _clipped_gradients,
    ),
    "non-saturating loss": (
        "The saturating loss has no gradient where the discriminator is sure, which is where the generator needs one.",
        _non_saturating,
    ),
    "R1 penalty": ("A discriminator that is flat at the data lets the game come to rest.", _gradient_penalty_on_reals),
    "averaged generator": ("An average over the circling weights lies nearer to their centre.", _averaged_generator),
    "packing": ("A discriminator that sees several samples at once sees that they are alike.", _packing),
    "augmentation": (
        "Augmented reals and fakes keep the discriminator from learning the data by heart.",
        _augmentation,
    ),
    "instance noise": ("Noise on reals and fakes keeps the discriminator from being sure.", _instance_noise),
    "longer training": (
        "More epochs let a generator that still improves reach more of the data.",
        _longer_training,
    ),
    "usual capacity": ("Networks this small cannot make, or cannot tell, what the data has.", _usual_capacity),
    "usual kernels": ("Kernels this small or large cannot see the data's structure.", _usual_kernels),
    "all of the data": ("Few samples are learnt by heart sooner than many.", _all_of_the_data),
    "usual settings": (
        "Where several settings are unusual, none need be the only cause; all become usual, data and length stay.",
        _usual_settings,
    ),
    "distance to the target": (
        "Without a distance to its target nothing says which output belongs to an input.",
        _target_distance,
    ),
}
"""By name: why it may help, and what it changes."""

PRESCRIPTIONS: dict[FindingName, tuple[str, ...]] = {
    "divergence": ("usual Adam", "usual settings", "a tenth of the rate", "gradient clipping"),
    "convergence failure: both losses vanish": (
        "separate batches",
        "usual Adam",
        "usual settings",
        "slower discriminator",
    ),
    "convergence failure: discriminator wins": (
        "separate batches",
        "usual Adam",
        "usual settings",
        "one discriminator step",
        "non-saturating loss",
        "usual kernels",
        "usual capacity",
        "R1 penalty",
        "slower discriminator",
    ),
    "convergence failure: discriminator inert": (
        "usual Adam",
        "usual settings",
        "as fast a discriminator",
        "usual capacity",
        "slower discriminator",
        "a tenth of the rate",
    ),
    "exploding gradients": ("usual Adam", "usual settings", "R1 penalty", "gradient clipping", "a tenth of the rate"),
    "vanishing gradients": (
        "usual settings",
        "non-saturating loss",
        "usual Adam",
        "one discriminator step",
        "R1 penalty",
        "slower discriminator",
    ),
    "convergence failure: no equilibrium": (
        "usual Adam",
        "usual settings",
        "one discriminator step",
        "usual kernels",
        "usual capacity",
        "R1 penalty",
        "slower discriminator",
    ),
    "mode collapse": (
        "separate batches",
        "larger latent",
        "usual settings",
        "latent wider than the data",
        "usual Adam",
        "as fast a discriminator",
        "non-saturating loss",
        "usual kernels",
        "usual capacity",
        "R1 penalty",
        "packing",
        "longer training",
    ),
    "memorisation": ("all of the data", "augmentation", "instance noise", "slower discriminator"),
    "oscillation": ("usual Adam", "usual settings", "R1 penalty", "averaged generator", "a quarter of the rate"),
    "deceptive loss": (
        "distance to the target",
        "larger latent",
        "usual settings",
        "as fast a discriminator",
        "latent wider than the data",
        "usual capacity",
        "usual kernels",
        "R1 penalty",
        "longer training",
    ),
    "stalled": (
        "larger latent",
        "usual settings",
        "as fast a discriminator",
        "latent wider than the data",
        "usual Adam",
        "usual capacity",
        "usual kernels",
        "R1 penalty",
        "longer training",
    ),
    "slow convergence": ("longer training",),
}
