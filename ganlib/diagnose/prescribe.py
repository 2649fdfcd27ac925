"""From a finding to remedies: spec patches that answer it, the most likely first."""

from collections.abc import Callable
from dataclasses import replace

from ganlib.diagnose.verdict import Diagnosis, FindingName, Remedy
from ganlib.optimizer_specs import Adam
from ganlib.spec import RunSpec

ENOUGH_LATENT = 50
"""Below this a small latent is the likeliest cause: the published healthy runs have 50 and more."""
USUAL_BETA1 = 0.5
USUAL_LEARNING_RATE = 2e-4


def with_remedies(diagnosis: Diagnosis, spec: RunSpec) -> Diagnosis:
    """The diagnosis with each finding's remedies for a run of this spec."""
    findings = tuple(replace(f, remedies=prescribe(f.name, spec)) for f in diagnosis.findings)
    return replace(diagnosis, findings=findings)


def prescribe(finding: FindingName, spec: RunSpec) -> tuple[Remedy, ...]:
    """Remedies for a finding in a run of this spec, the most likely first; each changes something."""
    candidates = [remedy for build in PRESCRIPTIONS[finding] if (remedy := build(spec)) is not None]
    return tuple(candidates)


def _larger_latent(spec: RunSpec) -> Remedy | None:
    if spec.input_channels or spec.generator.latent_dim >= ENOUGH_LATENT:
        return None
    return Remedy(
        reason=f"A latent of {spec.generator.latent_dim} cannot carry the variety of the data.",
        patch={"generator.latent_dim": ENOUGH_LATENT},
    )


def _separate_batches(spec: RunSpec) -> Remedy | None:
    if spec.training.discriminator_update != "joined_batch":
        return None
    return Remedy(
        reason="Reals and fakes in one batch share batch-norm statistics that the generator's update does not see.",
        patch={"training.discriminator_update": "half_batches"},
    )


def _usual_adam(spec: RunSpec) -> Remedy | None:
    if not isinstance(spec.optimizer, Adam):
        return None
    patch: dict[str, float] = {}
    if spec.optimizer.beta1 > USUAL_BETA1:
        patch["optimizer.beta1"] = USUAL_BETA1
    if spec.optimizer.learning_rate > USUAL_LEARNING_RATE:
        patch["optimizer.learning_rate"] = USUAL_LEARNING_RATE
    return Remedy(reason="Adam as DCGAN uses it: less momentum, smaller steps.", patch=patch) if patch else None


def _slower_discriminator(spec: RunSpec) -> Remedy | None:
    present = (spec.discriminator_optimizer or spec.optimizer).model_dump()
    slower = present | {"learning_rate": present["learning_rate"] / 4}
    return Remedy(
        reason="A discriminator that learns more slowly leaves the generator a gradient to follow.",
        patch={"discriminator_optimizer": slower},
    )


def _smaller_steps(spec: RunSpec) -> Remedy | None:
    return Remedy(
        reason="Smaller steps keep the weights finite.",
        patch={"optimizer.learning_rate": min(USUAL_LEARNING_RATE, spec.optimizer.learning_rate / 10)},
    )


def _longer_training(spec: RunSpec) -> Remedy | None:
    return Remedy(
        reason="More epochs let a generator that still improves reach more of the data.",
        patch={"training.epochs": 2 * spec.training.epochs},
    )


Prescription = Callable[[RunSpec], Remedy | None]
PRESCRIPTIONS: dict[FindingName, tuple[Prescription, ...]] = {
    "divergence": (_usual_adam, _smaller_steps),
    "convergence failure: discriminator wins": (_separate_batches, _usual_adam, _slower_discriminator),
    "convergence failure: both losses vanish": (_separate_batches, _usual_adam, _slower_discriminator),
    "convergence failure: discriminator inert": (_usual_adam, _slower_discriminator),
    "convergence failure: no equilibrium": (_usual_adam, _slower_discriminator),
    "mode collapse": (_larger_latent, _usual_adam, _slower_discriminator, _longer_training),
}
