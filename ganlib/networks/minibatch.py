"""Minibatch discrimination: how much each sample resembles the others of its batch."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ganlib.spec.layers import Minibatch


class Similarities(nn.Module):
    """[n, d] → [n, kernels] in [0, n - 1].

    With M_i = T·f(x_i), cut into rows b: o(x_i)_b = Σ_j≠i exp(-‖M_ib - M_jb‖₁). Takes n² · kernels · size floats.
    Source: Salimans et al. 2016, eqs. in section 3.2; their sum includes j = i, a constant 1.
    """

    def __init__(self, spec: Minibatch, inputs: int) -> None:
        super().__init__()
        self.cut = (spec.kernels, spec.size)
        self.transform = nn.Linear(inputs, spec.kernels * spec.size, bias=False)

    @override
    def forward(self, features: Tensor) -> Tensor:
        """[n, d] → [n, kernels]."""
        return similarities(self.transform(features).unflatten(1, self.cut))


def similarities(rows: Tensor) -> Tensor:
    """[n, kernels, size] → [n, kernels]: Σ over the others of exp(-L1 distance)."""
    distances = (rows[:, None] - rows[None]).abs().sum(3)  # [n, n, kernels]
    others = ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return ((-distances).exp() * others[:, :, None]).sum(1)
