# pyright: standard
"""The classifier that keeps the generators of a mixture apart (MGAN, Hoang et al. 2018)."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from ganlib.networks.several import owners
from ganlib.remedies.remedy import ActingRemedy, GeneratorBatch, Setting
from ganlib.seeding import Stream, torch_generator
from ganlib.spec.remedies import GeneratorMixture, GeneratorPerClass
from ganlib.training.optimizer import NetworkOptimizer
from ganlib.training.step import DiscriminatorOutcome, StepBatch, Term


class MixtureRemedy(ActingRemedy):
    """Asks which generator made a fake, of what the discriminator's last layer sees."""

    def __init__(self, part: GeneratorMixture, setting: Setting) -> None:
        spec = setting.spec
        self.part, self.embed = part, cast("Callable[..., Tensor]", setting.discriminator.features)
        self.head = _head(part.count, setting)
        self.optimizer = NetworkOptimizer(self.head, setting.discriminator_optimizer.spec, spec.total_steps)

    @override
    def discriminator_terms(self, fakes: StepBatch) -> tuple[Term, ...]:
        """The classifier's cross-entropy, which trains its own layer and the discriminator's features."""
        return (partial(self._confusion, fakes, self.head.weight, self.head.bias),)

    @override
    def after_discriminator(self, outcome: DiscriminatorOutcome, *, count: int, step: int) -> None:
        """Updates the classifier's layer on the gradient that the discriminator's update left."""
        self.optimizer.apply_gradients(step)
        self.optimizer.optimizer.zero_grad(set_to_none=True)

    @override
    def generator_term(self, batch: GeneratorBatch) -> Tensor:
        """The same cross-entropy, weighted: each generator makes what is known to be its own."""
        weight, bias = self.head.weight.detach(), self.head.bias.detach()
        return self.part.diversity * self._confusion(batch.fakes, weight, bias)

    @override
    def state(self) -> dict[str, Any]:
        return {"head": self.head.state_dict(), "optimizer": self.optimizer.state_dict()}

    @override
    def restore(self, state: dict[str, Any]) -> None:
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _confusion(self, fakes: StepBatch, weight: Tensor, bias: Tensor) -> Tensor:
        given = (fakes.samples,) if fakes.labels is None else (fakes.samples, fakes.labels)
        logits = functional.linear(self.embed(*given), weight, bias).float()
        return functional.cross_entropy(logits, owners(len(fakes), self.part.count, logits.device))


def build_several(part: GeneratorMixture | GeneratorPerClass, setting: Setting) -> ActingRemedy:
    """What several generators need beside being built: of a mixture the classifier, else nothing."""
    return MixtureRemedy(part, setting) if isinstance(part, GeneratorMixture) else ActingRemedy()


@torch.no_grad()
def _head(count: int, setting: Setting) -> nn.Linear:
    """A layer from the discriminator's features to `count` logits, drawn as torch.nn.Linear would be."""
    spec, network = setting.spec, setting.discriminator
    device = next(network.parameters()).device
    network.eval()
    sample = torch.zeros(2, *spec.discriminator_shape, device=device)
    labels = () if spec.discriminator.condition == "none" else (torch.zeros(2, dtype=torch.int64, device=device),)
    features = cast("Callable[..., Tensor]", network.features)(sample, *labels).shape[1]
    network.train()
    head = nn.Linear(features, count, device="meta").to_empty(device="cpu")
    generator, bound = torch_generator(spec.seed, Stream.IDENTITY_WEIGHTS), 1 / math.sqrt(features)
    for parameter in head.parameters():
        parameter.uniform_(-bound, bound, generator=generator)
    return head.to(device)
