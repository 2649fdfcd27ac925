"""Fully connected networks: for points, and for images as flat vectors."""

import math

from torch import Tensor, nn
from typing_extensions import override

from ganlib.networks.dropout import dropout
from ganlib.networks.frame import Frame, with_class
from ganlib.networks.head import Head, appended_classes
from ganlib.networks.layers import leaky
from ganlib.spec.layers import BatchNorm, FlatNorm, GroupNorm
from ganlib.spec.networks import MlpDiscriminator, MlpGenerator


class MlpG(nn.Module):
    """[n, latent_dim] → [n, *shape]; images end in tanh, points are unbounded."""

    def __init__(self, spec: MlpGenerator, frame: Frame) -> None:
        super().__init__()
        self.shape, self.classes = frame.shape, frame.classes
        self.hidden = _hidden(spec.latent_dim + frame.classes, spec)
        self.last = nn.Linear(spec.width, math.prod(frame.shape))
        self.bound = nn.Tanh() if len(frame.shape) == 3 else nn.Identity()

    @override
    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, latent_dim] → [n, *shape]."""
        hidden = self.hidden(with_class(latent, labels, self.classes))
        return self.bound(self.last(hidden)).view(-1, *self.shape)


class MlpD(nn.Module):
    """[n, *shape] → [n] logits."""

    def __init__(self, spec: MlpDiscriminator, frame: Frame) -> None:
        super().__init__()
        self.appended = appended_classes(spec, frame.classes)
        self.hidden = _hidden(math.prod(frame.shape) + self.appended, spec)
        self.head = Head(spec, spec.width, frame.classes)

    @override
    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, *shape] → [n] logits."""
        return self.head(self.features(samples, labels), labels)

    def features(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """[n, *shape] → [n, width] what the last layer sees of each sample alone."""
        return self.hidden(with_class(samples.flatten(1), labels, self.appended))


def _hidden(inputs: int, spec: MlpGenerator | MlpDiscriminator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in [inputs, *[spec.width] * (spec.layers - 1)]:
        layers += [
            nn.Linear(size, spec.width),
            _norm(spec.norm, spec.width),
            leaky(spec.leaky_slope),
            dropout(spec.dropout),
        ]
    return nn.Sequential(*layers)


def _norm(norm: FlatNorm, units: int) -> nn.Module:
    match norm:
        case BatchNorm():
            return nn.BatchNorm1d(units, eps=norm.eps, momentum=norm.momentum)
        case GroupNorm():
            return nn.GroupNorm(norm.groups, units, eps=norm.eps)
        case _:
            return nn.Identity()
