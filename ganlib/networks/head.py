"""The last layer of a discriminator: features to one logit, knowing the class and the batch where it is told to."""

from typing import Protocol

import torch
from torch import Tensor, nn
from typing_extensions import override

from ganlib.networks.minibatch import Similarities
from ganlib.spec.layers import DiscriminatorCondition, Minibatch


class HeadSpec(Protocol):
    """What a discriminator's spec says about its head."""

    @property
    def minibatch(self) -> Minibatch | None: ...  # noqa: D102
    @property
    def condition(self) -> DiscriminatorCondition: ...  # noqa: D102


class Head(nn.Module):
    """Features [n, d] (and labels [n]) → [n] logits: Linear(features), plus ⟨v_class, features⟩ under projection.

    Source of the projection: Miyato & Koyama 2018, eq. 9.
    """

    def __init__(self, spec: HeadSpec, inputs: int, classes: int) -> None:
        super().__init__()
        self.minibatch = Similarities(spec.minibatch, inputs) if spec.minibatch is not None else None
        self.last = nn.Linear(inputs + (spec.minibatch.kernels if spec.minibatch is not None else 0), 1)
        self.vectors = nn.Embedding(classes, inputs) if spec.condition == "projection" else None

    @override
    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """[n, d] → [n] logits.

        Raises:
            ValueError: it projects on the class, and there are no labels.
        """
        seen = features if self.minibatch is None else torch.cat([features, self.minibatch(features)], 1)
        logits = self.last(seen).squeeze(1)
        if self.vectors is None:
            return logits
        if labels is None:
            raise ValueError("labels: a conditional network needs the class of every sample")
        return logits + (self.vectors(labels) * features).sum(1)


def appended_classes(spec: HeadSpec, classes: int) -> int:
    """How many one-hot entries are appended to a discriminator's input."""
    return classes if spec.condition == "concat" else 0
