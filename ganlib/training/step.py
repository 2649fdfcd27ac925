# pyright: standard
"""One discriminator update, one generator update. No loop, no randomness, no I/O."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganlib.objectives.loss import GanLoss
from ganlib.spec.training import DiscriminatorUpdate
from ganlib.training.optimizer import NetworkOptimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatch:
    """Samples on the device, with their classes where the networks are told them."""

    samples: Tensor
    """[n, *shape] float32 in [-1, 1]."""
    labels: Tensor | None = None
    """[n] int64; None for networks without a condition."""
    inputs: Tensor | None = None
    """[n, channels, height, width] what the samples are to be made from, float32 in [-1, 1]; None without pairs."""

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorOutcome:
    """Scalars on the device; reading them waits for it, so they are read once an epoch."""

    loss_real: Tensor
    loss_fake: Tensor
    acc_real: Tensor
    """Share of reals called real (logit above the loss's threshold)."""
    acc_fake: Tensor
    """Share of fakes called fake (logit not above it)."""
    auc: Tensor
    """Chance that a real's logit is above a fake's; ties count half."""
    grad_norm: Tensor
    """Norm of the whole gradient; over several optimizer steps, the root of their mean square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorOutcome:
    """Scalars on the device."""

    loss: Tensor
    grad_norm: Tensor


Term = Callable[[], Tensor]
"""A scalar to be minimised, computed when its update is made: half batches change the weights in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the discriminator minimises beside its losses, in the units of the reference's sum of both losses."""

    reals: tuple[Term, ...] = ()
    fakes: tuple[Term, ...] = ()
    both: tuple[Term, ...] = ()


def beside(inputs: Tensor | None, samples: Tensor) -> Tensor:
    """Samples [n, *shape] behind their inputs, along the channels; as they are where there are no inputs."""
    return samples if inputs is None else torch.cat([inputs, samples], 1)


def logits_of(network: nn.Module, batch: StepBatch) -> Tensor:
    """The discriminator's logits of a batch, in float32 whatever it multiplies in."""
    logits: Tensor = network(batch.samples) if batch.labels is None else network(batch.samples, batch.labels)
    return logits.float()


def update_discriminator(
    kind: DiscriminatorUpdate,
    optimizer: NetworkOptimizer,
    loss: GanLoss,
    reals: StepBatch,
    fakes: StepBatch,
    *,
    step: int = 0,
    terms: Terms = Terms(),
) -> DiscriminatorOutcome:
    """One update on reals and as many fakes (without a graph to the generator)."""
    network, weight = optimizer.network, loss.penalty_weight
    match kind:
        case "together":
            real, fake = logits_of(network, reals), logits_of(network, fakes)
        case "joined_batch":
            real, fake = logits_of(network, _joined(reals, fakes)).split([len(reals), len(fakes)])
        case "half_batches":
            real = logits_of(network, reals)
            value = _plus(_plus(loss.real(real), 2 * weight, terms.reals), weight, terms.both)
            on_reals = optimizer.minimise(value, step)
            fake = logits_of(network, fakes)
            value = _plus(_plus(loss.fake(fake), 2 * weight, terms.fakes), weight, terms.both)
            on_fakes = optimizer.minimise(value, step)
            norm = ((on_reals**2 + on_fakes**2) / 2).sqrt()
            return _outcome(loss, real, fake, area_under_curve(real, fake), norm)
    auc = area_under_curve(real, fake)
    real, fake = loss.compare(real, fake)
    # the mean, not the sum: Adam's step is the same, and the reported d_loss is what is minimised
    value = (loss.real(real) + loss.fake(fake)) / 2
    norm = optimizer.minimise(_plus(value, weight, terms.reals + terms.fakes + terms.both), step)
    return _outcome(loss, real, fake, auc, norm)


def update_generator(
    optimizer: NetworkOptimizer, discriminator: nn.Module, losses: Callable[[], tuple[Tensor, Tensor]], *, step: int = 0
) -> GeneratorOutcome:
    """One update on `losses`: the one to report and the one to minimise. The discriminator stays as it is."""
    discriminator.requires_grad_(requires_grad=False)
    reported, minimised = losses()
    norm = optimizer.minimise(minimised, step)
    discriminator.requires_grad_(requires_grad=True)
    return GeneratorOutcome(loss=reported.detach(), grad_norm=norm)


def _joined(reals: StepBatch, fakes: StepBatch) -> StepBatch:
    labels = None
    if reals.labels is not None and fakes.labels is not None:
        labels = torch.cat([reals.labels, fakes.labels])
    return StepBatch(samples=torch.cat([reals.samples, fakes.samples]), labels=labels)


def _plus(value: Tensor, weight: float, terms: tuple[Term, ...]) -> Tensor:
    for term in terms:
        value = value + weight * term()
    return value


@torch.no_grad()
def area_under_curve(real: Tensor, fake: Tensor) -> Tensor:
    """Chance, in [0, 1], that one of the real logits is above one of the fake ones; ties count half.

    Not a number where one of them is not finite. Source: Mann & Whitney 1947 (U over n m).
    """
    values, fakes = real.detach().flatten(), fake.detach().flatten().sort().values
    below = torch.searchsorted(fakes, values) + torch.searchsorted(fakes, values, right=True)
    return below.float().mean() / (2 * len(fakes)) + 0 * (values.sum() + fakes.sum())


@torch.no_grad()
def _outcome(loss: GanLoss, real: Tensor, fake: Tensor, auc: Tensor, grad_norm: Tensor) -> DiscriminatorOutcome:
    return DiscriminatorOutcome(
        loss_real=loss.real(real),
        loss_fake=loss.fake(fake),
        acc_real=(real > loss.threshold).float().mean(),
        acc_fake=(fake <= loss.threshold).float().mean(),
        auc=auc,
        grad_norm=grad_norm,
    )
