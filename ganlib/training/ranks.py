# pyright: standard
"""Several processes that make one training together: each computes its part of every batch, all take the same steps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Rows = TypeVar("Rows", Tensor, NDArray[np.int64])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Which of how many processes this is. Every batch has as many parts as there are processes, of one size."""

    rank: int = 0
    """From 0, which alone makes samples and reports."""
    count: int = 1
    add: Callable[[Tensor], None] | None = None
    """Replaces a tensor by its sum over all processes; None for the only one."""

    def part(self, rows: Rows) -> Rows:
        """This process's rows of a batch: of [n, …], n / count."""
        size = len(rows) // self.count
        return rows[self.rank * size : (self.rank + 1) * size]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.add is None:
            return values
        summed = values.clone()
        self.add(summed)
        return summed / self.count

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Makes each gradient the mean over all processes: that of the whole batch, where losses are means over it."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.add is None or not gradients:
            return
        means = self.mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))  # one sum for all
        for gradient, mean in zip(gradients, means.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


ALONE = Ranks()
