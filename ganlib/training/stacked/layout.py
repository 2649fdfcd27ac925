# pyright: standard
"""Where the weights of one network lie in a row, and the rows of many networks of the same shapes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The parameters of a network, one after the other, as `torch.nn.utils.parameters_to_vector` has them."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, network: nn.Module) -> Self:
        """That of a network without buffers."""
        named = list(network.named_parameters())
        return cls(names=tuple(name for name, _ in named), shapes=tuple(tuple(p.shape) for _, p in named))

    @property
    def spans(self) -> list[slice]:
        """Where each parameter lies in a row."""
        ends = list(accumulate(math.prod(shape) for shape in self.shapes))
        return [slice(first, end) for first, end in zip([0, *ends], ends, strict=False)]

    def row(self, values: Mapping[str, Any]) -> Tensor:
        """[P] of a state dict."""
        return torch.cat([values[name].detach().float().reshape(-1) for name in self.names])

    def named(self, row: Tensor) -> dict[str, Tensor]:
        """The state dict of a row [P]; its tensors are parts of it."""
        parts = zip(self.names, self.shapes, self.spans, strict=True)
        return {name: row[span].view(shape) for name, shape, span in parts}

    def views(self, rows: Tensor) -> list[Tensor]:
        """Each parameter of all networks, [n, *shape], as a part of rows [n, P]."""
        return [rows[:, span].view(-1, *shape) for shape, span in zip(self.shapes, self.spans, strict=True)]

    @property
    def layers(self) -> list[int]:
        """Which parameters have two or more dimensions."""
        return [place for place, shape in enumerate(self.shapes) if len(shape) > 1]
