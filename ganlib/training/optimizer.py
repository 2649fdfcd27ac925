# pyright: standard
"""One network's optimizer, with the schedule of its learning rate and the clipping of its gradient."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ganlib.spec.optimizer import Adam, ConstantRate, CosineRate, LinearRate, Optimizer, RmsProp, Schedule, Sgd
from ganlib.training.gradient_norms import LayerNorms
from ganlib.training.ranks import ALONE, Ranks


def rate_factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """What the learning rate is multiplied by in step number `step`, from 0, of `total_steps`."""
    warmup = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    progress = min(1.0, step / total_steps)
    match schedule:
        case ConstantRate():
            return warmup
        case LinearRate(start=start, final=final):
            return warmup * (1 - (1 - final) * max(0.0, progress - start) / (1 - start))
        case CosineRate(final=final):
            return warmup * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


class NetworkOptimizer:
    """The way of one network's weights down its loss."""

    def __init__(self, network: nn.Module, spec: Optimizer, total_steps: int, ranks: Ranks = ALONE) -> None:
        self.network, self.spec, self.total_steps, self.ranks = network, spec, total_steps, ranks
        self.optimizer = _optimizer(network, spec)
        self.gradients = LayerNorms(network)

    def minimise(self, loss: Tensor, step: int) -> Tensor:
        """One update on the loss in the generator's step `step`; the norm of its whole gradient before clipping."""
        # each operation goes back in the precision in which it went forward; autocast is for the way forward alone
        with torch.autocast(loss.device.type, enabled=False):
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            return self.apply_gradients(step)

    def apply_gradients(self, step: int) -> Tensor:
        """One update on the gradient that is there; its norm before clipping."""
        self.ranks.average_gradients(self.network.parameters())
        norm = self.gradients.take()
        if self.spec.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.network.parameters(), self.spec.clip_norm, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step)
        self._lay_out_gradients()
        self.optimizer.step()
        return norm

    def rate(self, step: int) -> float:
        """The learning rate in the generator's step `step`."""
        return self.spec.learning_rate * rate_factor(self.spec.schedule, step, self.total_steps)

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state and lay its tensors out as their weights are: the same update, bit by bit, needs both.

        The update is made in this optimizer's way, whatever the way of the one that was saved.
        """
        own = ({key: group[key] for key in WAYS if key in group} for group in self.optimizer.param_groups)
        groups = [saved | ways for saved, ways in zip(state["param_groups"], own, strict=True)]
        self.optimizer.load_state_dict(state | {"param_groups": groups})
        for parameter, values in self.optimizer.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)

    def _lay_out_gradients(self) -> None:
        """Gives each gradient the memory layout of its weights: torch's fused Adam on the CPU takes it for granted."""
        for parameter in self.network.parameters():
            gradient = parameter.grad
            if gradient is not None and gradient.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter, requires_grad=False).copy_(gradient)


def taken_over(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's own state with the moments, but no rates, of another's; as it is where they differ in kind."""
    if own["param_groups"][0].keys() != other["param_groups"][0].keys():  # each kind has settings of its own
        return own
    return {"state": other["state"], "param_groups": own["param_groups"]}


WAYS = ("fused", "foreach")
"""Settings of torch's optimizers that change how an update is computed, and not which."""


def _optimizer(network: nn.Module, spec: Optimizer) -> torch.optim.Optimizer:
    weights = network.parameters()
    match spec:
        case Adam():
            # fused: a tenth less CPU time in a small MLP's training, one launch instead of a dozen on a GPU
            betas = (spec.beta1, spec.beta2)
            return torch.optim.Adam(weights, lr=spec.learning_rate, betas=betas, eps=spec.eps, fused=True)
        case RmsProp():
            return torch.optim.RMSprop(weights, lr=spec.learning_rate, alpha=spec.decay, eps=spec.eps)
        case Sgd():
            return torch.optim.SGD(weights, lr=spec.learning_rate, momentum=spec.momentum)
