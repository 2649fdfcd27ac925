# pyright: standard
"""Unrolled discriminators (Metz et al. 2017)."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call
from typing_extensions import override

from ganlib.remedies.remedy import ActingRemedy, GeneratorBatch, Judge, Setting
from ganlib.spec.optimizer import Adam
from ganlib.spec.remedies import Unrolling
from ganlib.training.step import StepBatch

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Adam's state of all weights, by their names."""

    first: Weights
    second: Weights
    count: int
    """Updates made."""


def adam_step(
    weights: Weights, gradients: Weights, moments: Moments, rate: float, spec: Adam
) -> tuple[Weights, Moments]:
    """One update as Adam makes it, through which gradients flow; its denominator is √(v + ε²), smooth at v = 0."""
    count = moments.count + 1
    first = {n: spec.beta1 * moments.first[n] + (1 - spec.beta1) * g for n, g in gradients.items()}
    second = {n: spec.beta2 * moments.second[n] + (1 - spec.beta2) * g.square() for n, g in gradients.items()}
    bias1, bias2 = 1 - spec.beta1**count, 1 - spec.beta2**count
    moved = {n: w - rate * (first[n] / bias1) / (second[n] / bias2 + spec.eps**2).sqrt() for n, w in weights.items()}
    return moved, Moments(first=first, second=second, count=count)


class UnrollingRemedy(ActingRemedy):
    """Lets the generator play against the discriminator some updates ahead."""

    needs_reals = True
    replaces_loss = True

    def __init__(self, part: Unrolling, setting: Setting) -> None:
        self.steps, self.loss = part.steps, setting.loss
        self.discriminator, self.optimizer = setting.discriminator, setting.discriminator_optimizer

    @override
    def generator_term(self, batch: GeneratorBatch) -> Tensor:
        """What the discriminator will have won after its updates: the negative sum of its losses then."""
        assert batch.reals is not None, "needs_reals"
        return -2 * self._discriminator_loss(self.unrolled(batch), batch.reals, batch.fakes)

    def unrolled(self, batch: GeneratorBatch) -> Judge:
        """The discriminator after `steps` updates on the move's reals and fakes; its weights depend on the fakes."""
        assert batch.reals is not None, "needs_reals"
        assert isinstance(self.optimizer.spec, Adam), "the spec is checked"
        rate, moments = self.optimizer.rate(batch.step), self._moments()
        weights = {n: p.detach().clone().requires_grad_() for n, p in self.discriminator.named_parameters()}
        buffers = {n: b.clone() for n, b in self.discriminator.named_buffers()}
        for _ in range(self.steps):
            loss = self._discriminator_loss(partial(self._logits, weights | buffers), batch.reals, batch.fakes)
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
            weights, moments = adam_step(
                weights, dict(zip(weights, gradients, strict=True)), moments, rate, self.optimizer.spec
            )
        return partial(self._logits, weights | buffers)

    def _logits(self, weights_and_buffers: Weights, batch: StepBatch) -> Tensor:
        given = (batch.samples,) if batch.labels is None else (batch.samples, batch.labels)
        return functional_call(self.discriminator, weights_and_buffers, given)

    def _discriminator_loss(self, judge: Judge, reals: StepBatch, fakes: StepBatch) -> Tensor:
        real, fake = self.loss.compare(judge(reals), judge(fakes))
        return (self.loss.real(real) + self.loss.fake(fake)) / 2

    def _moments(self) -> Moments:
        """What Adam has of the discriminator now."""
        first, second, count = {}, {}, 0
        for name, parameter in self.discriminator.named_parameters():
            state = self.optimizer.optimizer.state.get(parameter, {})
            first[name] = state.get("exp_avg", torch.zeros_like(parameter)).detach().clone()
            second[name] = state.get("exp_avg_sq", torch.zeros_like(parameter)).detach().clone()
            count = max(count, int(state.get("step", 0)))
        return Moments(first=first, second=second, count=count)
