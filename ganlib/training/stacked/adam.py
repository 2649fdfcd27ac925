# pyright: standard
"""Adam for n networks in one pass over their rows, each with rates, betas and clipping of its own."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganlib.spec.optimizer import Adam
from ganlib.training.optimizer import rate_factor
from ganlib.training.stacked.layout import Layout

CLIP_EPS = 1e-6  # as torch.nn.utils.clip_grads_with_norm_


class StackedAdam:
    """The way of n networks' weights down their losses. Numbers of each are in columns [n, 1].

    Each operation rounds once: one that multiplies and adds in one step rounds differently where a vector ends, and
    that depends on n.
    """

    def __init__(self, specs: Sequence[Adam], total_steps: Sequence[int], layout: Layout, rows: Tensor) -> None:
        """`rows`: [n, P] first weights, which are updated in place."""
        self.specs, self.total_steps, self.layout, self.rows = list(specs), list(total_steps), layout, rows
        self.means, self.squares = torch.zeros_like(rows), torch.zeros_like(rows)
        self.counts = [0] * len(self.specs)
        """Updates that each has made."""
        self._set_out()

    def _set_out(self) -> None:
        """What follows from the rows that there are."""
        self.parameters = [view.detach().requires_grad_() for view in self.layout.views(self.rows)]
        """[n, *shape] each, to be differentiated by; parts of the rows."""
        self._beta1 = self._column([spec.beta1 for spec in self.specs])
        self._beta2 = self._column([spec.beta2 for spec in self.specs])
        self._rest1 = self._column([1 - spec.beta1 for spec in self.specs])
        self._rest2 = self._column([1 - spec.beta2 for spec in self.specs])
        self._eps = self._column([spec.eps for spec in self.specs])
        clips = [spec.clip_norm for spec in self.specs]
        self._clips = None if not any(clips) else self._column([math.inf if c is None else c for c in clips])

    def follow(self, losses: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """One update on the losses [n] in the generators' step `step`.

        The norm of each one's whole gradient before clipping, [n], and that of each layer, [n, layers].
        """
        found = torch.autograd.grad(losses.sum(), self.parameters)
        with torch.no_grad():
            gradients = torch.cat([gradient.reshape(len(self.rows), -1) for gradient in found], 1)
            norms = torch.stack([torch.linalg.vector_norm(gradients[:, span], dim=1) for span in self.layout.spans], 1)
            whole = torch.linalg.vector_norm(norms, dim=1)
            self._update(self._clipped(gradients, whole), step)
        return whole, norms[:, self.layout.layers]

    def rate(self, member: int, step: int) -> float:
        """A member's learning rate in the generators' step `step`."""
        spec = self.specs[member]
        return spec.learning_rate * rate_factor(spec.schedule, step, self.total_steps[member])

    def weight_norms(self) -> Tensor:
        """[n, layers] norms of the weights."""
        spans = [self.layout.spans[place] for place in self.layout.layers]
        return torch.stack([torch.linalg.vector_norm(self.rows[:, span], dim=1) for span in spans], 1)

    def moments(self, member: int) -> dict[int, dict[str, Any]]:
        """A member's part `state` of the state dict of torch's Adam; empty before its first update."""
        if not self.counts[member]:
            return {}
        means = self.layout.named(self.means[member]).values()
        squares = self.layout.named(self.squares[member]).values()
        count = torch.tensor(float(self.counts[member]), device=self.rows.device)
        return {
            place: {"step": count.clone(), "exp_avg": mean, "exp_avg_sq": square}
            for place, (mean, square) in enumerate(zip(means, squares, strict=True))
        }

    def load_moments(self, member: int, state: dict[int, dict[str, Any]]) -> None:
        """Takes over such a part."""
        if state:
            order = [state[place] for place in range(len(self.layout.names))]
            self.means[member] = torch.cat([values["exp_avg"].float().reshape(-1) for values in order])
            self.squares[member] = torch.cat([values["exp_avg_sq"].float().reshape(-1) for values in order])
            self.counts[member] = int(order[0]["step"])

    def keep(self, members: Sequence[int]) -> None:
        """Go on with these alone."""
        places = torch.tensor(members, device=self.rows.device)
        self.rows, self.means, self.squares = self.rows[places], self.means[places], self.squares[places]
        self.specs = [self.specs[member] for member in members]
        self.total_steps = [self.total_steps[member] for member in members]
        self.counts = [self.counts[member] for member in members]
        self._set_out()

    def _clipped(self, gradients: Tensor, norms: Tensor) -> Tensor:
        if self._clips is None:
            return gradients
        shares = (self._clips / (norms[:, None] + CLIP_EPS)).clamp(max=1.0)
        return gradients * torch.where(self._clips.isinf(), 1.0, shares)

    def _update(self, gradients: Tensor, step: int) -> None:
        self.counts = [count + 1 for count in self.counts]
        each = list(zip(self.specs, self.counts, strict=True))
        sizes = [self.rate(place, step) / (1 - spec.beta1**count) for place, (spec, count) in enumerate(each)]
        roots = [math.sqrt(1 - spec.beta2**count) for spec, count in each]
        self.means.mul_(self._beta1).add_(gradients * self._rest1)
        self.squares.mul_(self._beta2).add_(gradients.square_().mul_(self._rest2))
        divisors = self.squares.sqrt().div_(self._column(roots)).add_(self._eps)
        self.rows.sub_(torch.div(self.means, divisors, out=divisors).mul_(self._column(sizes)))

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.rows.device)[:, None]
