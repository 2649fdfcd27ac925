"""What the two networks minimise: objectives with their usual optimizers, and penalties. Imports no torch.

D is the discriminator's logit, x a real, G(z) a fake, E a mean over the batch. The discriminator minimises the mean
of its loss on reals and its loss on fakes, plus penalties; no penalty is part of a reported loss.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from ganlib.spec.optimizer import Adam, RmsProp
from ganlib.spec.part import Part


class BceObjective(Part):
    """Non-saturating binary cross-entropy, computed from logits (stable at any logit).

    `d_loss_real` = E[−log σ(D(x))], `d_loss_fake` = E[−log(1 − σ(D(G(z))))], `g_loss` = E[−log σ(D(G(z)))].
    Usual optimizer: Adam, 2e-4, β (.5, .999), k = 1 (DCGAN, Radford et al. 2016). Source: Goodfellow et al. 2014.
    """

    name: Literal["bce"] = "bce"


class SaturatingBceObjective(Part):
    """Binary cross-entropy as the minimax game has it: the generator minimises what the discriminator maximises.

    The discriminator's losses are those of `bce`; `g_loss` = E[log(1 − σ(D(G(z))))] ≤ 0, whose gradient vanishes
    where fakes are told with certainty. Usual optimizer: that of `bce`. Source: Goodfellow et al. 2014, equation 1.
    """

    name: Literal["saturating-bce"] = "saturating-bce"


class ClampedBceObjective(Part):
    """Binary cross-entropy on a sigmoid with its logarithms clamped at -100, as torch.nn.BCELoss does.

    In float32 the sigmoid saturates to exactly 0 or 1, and its gradient to 0: the published runs with a
    learning rate of .2 depend on that. Losses and usual optimizer are those of `bce`.
    """

    name: Literal["clamped-bce"] = "clamped-bce"


class LeastSquaresObjective(Part):
    """Least squares (LSGAN): logits are drawn to 1 for reals and to 0 for fakes.

    `d_loss_real` = E[(D(x) − 1)²], `d_loss_fake` = E[D(G(z))²], so that their mean is the paper's loss, and
    `g_loss` = ½ E[(D(G(z)) − 1)²]. A sample counts as called real where its logit is above ½.
    Usual optimizer: Adam, 2e-4, β (.5, .999), k = 1 (the paper's for characters; 1e-3 for scenes).
    Source: Mao et al. 2017, equation 9: a = 0, b = c = 1.
    """

    name: Literal["lsgan"] = "lsgan"


class WassersteinObjective(Part):
    """Wasserstein distance between reals and fakes, with clipped weights (WGAN).

    `d_loss_real` = −E[D(x)], `d_loss_fake` = E[D(G(z))], `g_loss` = −E[D(G(z))]: the estimated distance is
    −(`d_loss_real` + `d_loss_fake`). Logits have no zero point, so accuracies say little. Every weight of the
    discriminator is clipped into [−clip, clip] after each of its updates.
    Usual optimizer: RMSprop, 5e-5, k = 5. Source: Arjovsky et al. 2017, algorithm 1.
    """

    name: Literal["wgan"] = "wgan"
    clip: float = Field(default=0.01, gt=0)
    """Largest absolute value of a weight of the discriminator."""


class WassersteinPenaltyObjective(Part):
    """Wasserstein distance with a gradient penalty in place of clipping (WGAN-GP).

    Losses as in `wgan`, plus λ·E[(‖∇D(x̂)‖ − 1)²] at points x̂ = εx + (1 − ε)G(z), ε uniform in [0, 1].
    A batch norm in the discriminator makes its gradients depend on the whole batch; the authors leave it out.
    Usual optimizer: Adam, 1e-4, β (0, .9), k = 5. Source: Gulrajani et al. 2017, algorithm 1.
    """

    name: Literal["wgan-gp"] = "wgan-gp"
    gradient_penalty: float = Field(default=10.0, gt=0)
    """λ."""


class HingeObjective(Part):
    """Hinge loss: only reals below 1 and fakes above −1 teach the discriminator.

    `d_loss_real` = E[max(0, 1 − D(x))], `d_loss_fake` = E[max(0, 1 + D(G(z)))], `g_loss` = −E[D(G(z))].
    Usual optimizer: Adam, 2e-4, β (0, .9), k = 5 (SNGAN's ResNets).
    Source: Lim & Ye 2017; Miyato et al. 2018, equations 16 and 17.
    """

    name: Literal["hinge"] = "hinge"


class RelativisticObjective(Part):
    """Relativistic pairing with R1 and R2 (R3GAN): each real is to look more real than the fake of its number.

    `d_loss_real` = `d_loss_fake` = E[softplus(−(D(x) − D(G(z))))], `g_loss` = E[softplus(−(D(G(z)) − D(x)))], in nats,
    log 2 where nothing can be told; plus γ/2·E‖∇D(x)‖² + γ/2·E‖∇D(G(z))‖². Both accuracies are the share of pairs in
    which the real has the larger logit. A generator's update sees reals, too.
    Usual optimizer: Adam, 2e-4, β (0, .99), k = 1; the reference lets the rate fall to 5e-5 and β₂ rise from .9.
    Source: Huang et al. 2024; Jolicoeur-Martineau 2019.
    """

    name: Literal["relativistic"] = "relativistic"
    gamma: float = Field(default=1.0, ge=0)
    """γ of R1 and of R2. The reference chooses it by data set, from .05 (CIFAR-10) over 1 (ImageNet at 64 pixels) to
    150 (FFHQ at 256), and lets it fall to a tenth while training; here it stays."""


Objective = Annotated[
    BceObjective
    | SaturatingBceObjective
    | ClampedBceObjective
    | LeastSquaresObjective
    | WassersteinObjective
    | WassersteinPenaltyObjective
    | HingeObjective
    | RelativisticObjective,
    Field(discriminator="name"),
]


class Penalties(Part):
    """Penalties on the discriminator's gradient with respect to its inputs, for any objective.

    They weigh as in the reference's sum of a loss on reals and a loss on fakes. Inputs are what the discriminator
    sees, after augmentation, noise and packing.
    """

    r1: float | None = Field(default=None, gt=0)
    """γ of R1, γ/2·E‖∇D(x)‖² on reals; the reference takes 10. Some code omits the ½. Source: Mescheder et al. 2018."""
    r2: float | None = Field(default=None, gt=0)
    """γ of R2, γ/2·E‖∇D(G(z))‖² on fakes. Source: Mescheder et al. 2018."""
    gradient: float | None = Field(default=None, gt=0)
    """λ of λ·E[(‖∇D(x̂)‖ − 1)²] between reals and fakes; the reference takes 10. Source: Gulrajani et al. 2017."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What an objective is usually trained with, where a spec does not say."""

    optimizer: Adam | RmsProp
    """Of both networks."""
    discriminator_steps: int
    """Discriminator updates before each generator update (k)."""


BCE = Usual(optimizer=Adam(), discriminator_steps=1)
USUAL: dict[str, Usual] = {
    "bce": BCE,
    "saturating-bce": BCE,
    "clamped-bce": BCE,
    "lsgan": BCE,
    "wgan": Usual(optimizer=RmsProp(), discriminator_steps=5),
    "wgan-gp": Usual(optimizer=Adam(learning_rate=1e-4, beta1=0, beta2=0.9), discriminator_steps=5),
    "hinge": Usual(optimizer=Adam(beta1=0, beta2=0.9), discriminator_steps=5),
    "relativistic": Usual(optimizer=Adam(beta1=0, beta2=0.99), discriminator_steps=1),
}
BCE_OBJECTIVES = ("bce", "saturating-bce", "clamped-bce")
"""Objectives whose discriminator is a classifier of reals and fakes with the binary cross-entropy as its loss."""


def with_usual(document: dict[str, Any]) -> dict[str, Any]:
    """A run spec's document with what its objective usually takes, where it names no optimizer and no k.

    An optimizer without a `name` changes the usual one; the discriminator's own changes the generator's. Anything
    malformed stays, for validation to refuse.
    """
    usual = USUAL.get(_name_of(document.get("objective")), BCE)
    optimizer = _changed(usual.optimizer.model_dump(), document.get("optimizer"))
    filled = document | {"optimizer": optimizer, "training": _with_steps(document.get("training"), usual)}
    own = document.get("discriminator_optimizer")
    if own is not None and isinstance(optimizer, dict):
        filled["discriminator_optimizer"] = _changed(cast("dict[str, Any]", optimizer), own)
    return filled


def _changed(base: dict[str, Any], optimizer: Any) -> Any:
    if optimizer is None:
        return base
    if isinstance(optimizer, dict) and "name" not in optimizer:
        return base | cast("dict[str, Any]", optimizer)
    return cast("Any", optimizer)


def _with_steps(training: Any, usual: Usual) -> Any:
    if training is None:
        return {"discriminator_steps": usual.discriminator_steps}
    if isinstance(training, dict) and cast("dict[str, Any]", training).get("discriminator_steps") is None:
        return cast("dict[str, Any]", training) | {"discriminator_steps": usual.discriminator_steps}
    return cast("Any", training)


def all_penalties(objective: Objective, penalties: Penalties) -> Penalties:
    """The objective's own penalties and the added ones.

    Raises:
        ValueError: the same penalty is in both.
    """
    own: dict[str, float] = {}
    if isinstance(objective, RelativisticObjective) and objective.gamma > 0:
        own = {"r1": objective.gamma, "r2": objective.gamma}
    if isinstance(objective, WassersteinPenaltyObjective):
        own = {"gradient": objective.gradient_penalty}
    added = penalties.model_dump(exclude_none=True)
    for name in own.keys() & added.keys():
        field = "gamma" if isinstance(objective, RelativisticObjective) else "gradient_penalty"
        raise ValueError(
            f"penalties.{name}: '{objective.name}' has this penalty as 'objective.{field}'; allowed: null here"
        )
    return Penalties(**own, **added)


def check_objective(objective: Objective, penalties: Penalties, update: str) -> None:
    """Returns where the discriminator can be updated so.

    Raises:
        ValueError: it cannot; the field is named first.
    """
    merged = all_penalties(objective, penalties)
    if update != "half_batches":
        return
    if objective.name == "relativistic":
        why = "'relativistic' compares each real with a fake in one update"
    elif merged.gradient is not None:
        why = "a gradient penalty between reals and fakes needs both in one update"
    else:
        return
    raise ValueError(
        f"training.discriminator_update: 'half_batches' does not fit, {why}; allowed: 'together', 'joined_batch'"
    )


def _name_of(objective: Any) -> str:
    if isinstance(objective, dict):
        return str(cast("dict[str, Any]", objective).get("name"))
    return str(getattr(objective, "name", None))
