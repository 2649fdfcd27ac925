"""One discriminator update, one generator update. No loop, no randomness, no I/O."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganlib.losses import GanLoss
from ganlib.spec import DiscriminatorUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorOutcome:
    """Scalars on the device; reading them waits for it, so they are read once a step."""

    loss_real: Tensor
    loss_fake: Tensor
    acc_real: Tensor
    """Share of reals called real (logit > 0)."""
    acc_fake: Tensor
    """Share of fakes called fake (logit <= 0)."""
    grad_norm: Tensor
    """Norm of the whole gradient; over several optimizer steps, the root of their mean square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorOutcome:
    """Scalars on the device."""

    loss: Tensor
    grad_norm: Tensor


def update_discriminator(
    kind: DiscriminatorUpdate,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: GanLoss,
    reals: Tensor,
    fakes: Tensor,
) -> DiscriminatorOutcome:
    """One update on reals [n, *shape] and fakes [n, *shape] (without a graph to the generator)."""
    match kind:
        case "together":
            real, fake = network(reals), network(fakes)
        case "joined_batch":
            real, fake = network(torch.cat([reals, fakes])).split([len(reals), len(fakes)])
        case "half_batches":
            real = network(reals)
            on_reals = _descend(network, optimizer, loss.real(real))
            fake = network(fakes)
            on_fakes = _descend(network, optimizer, loss.fake(fake))
            norm = ((on_reals**2 + on_fakes**2) / 2).sqrt()
            return _outcome(loss, real, fake, norm)
    # the mean, not the sum: Adam's step is the same, and the reported d_loss is what is minimised
    norm = _descend(network, optimizer, (loss.real(real) + loss.fake(fake)) / 2)
    return _outcome(loss, real, fake, norm)


def update_generator(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: GanLoss,
    latent: Tensor,
) -> GeneratorOutcome:
    """One update on fakes from latent [n, latent_dim]. The discriminator's weights stay as they are."""
    discriminator.requires_grad_(requires_grad=False)
    value = loss.generator(discriminator(generator(latent)))
    norm = _descend(generator, optimizer, value)
    discriminator.requires_grad_(requires_grad=True)
    return GeneratorOutcome(loss=value.detach(), grad_norm=norm)


def _descend(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
    optimizer.step()
    return norm


@torch.no_grad()
def _outcome(loss: GanLoss, real: Tensor, fake: Tensor, grad_norm: Tensor) -> DiscriminatorOutcome:
    return DiscriminatorOutcome(
        loss_real=loss.real(real),
        loss_fake=loss.fake(fake),
        acc_real=(real > 0).float().mean(),
        acc_fake=(fake <= 0).float().mean(),
        grad_norm=grad_norm,
    )
