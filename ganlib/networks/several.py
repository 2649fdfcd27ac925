# pyright: standard
"""Several generators that act as one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override


def owners(count: int, generators: int, device: torch.device) -> Tensor:
    """[count] number of the generator in a mixture that makes each sample: 0, 1, … in turn."""
    return torch.arange(count, device=device) % generators


class MixedGenerators(nn.Module):
    """[n, latent_dim] → [n, *shape], each member making every K-th sample: equal shares, as in MGAN."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @override
    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, latent_dim] → [n, *shape]."""
        return _gathered(self.members, owners(len(latent), len(self.members), latent.device), latent, labels)


class PerClass(nn.Module):
    """[n, latent_dim] and labels [n] → [n, *shape], each member making the samples of its class."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @override
    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        """[n, latent_dim] → [n, *shape]."""
        return _gathered(self.members, labels, latent, None)


def _gathered(members: nn.ModuleList, owner: Tensor, latent: Tensor, labels: Tensor | None) -> Tensor:
    """The samples of all members in the order of their latents; a member without latents is not asked."""
    rows = [torch.nonzero(owner == number).squeeze(1) for number in range(len(members))]
    made = [
        member(latent[mine]) if labels is None else member(latent[mine], labels[mine])
        for member, mine in zip(members, rows, strict=True)
        if len(mine)
    ]
    order = torch.argsort(torch.cat(rows))
    return torch.cat(made)[order]
