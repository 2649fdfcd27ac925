"""Fully connected networks: for points, and for images as flat vectors."""

import math

from torch import Tensor, nn

from ganlib.spec import MlpDiscriminator, MlpGenerator


class MlpG(nn.Module):
    """[n, latent_dim] → [n, *shape]; images end in tanh, points are unbounded."""

    def __init__(self, spec: MlpGenerator, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.layers = _layers(spec.latent_dim, spec, math.prod(shape))
        self.last = nn.Tanh() if len(shape) == 3 else nn.Identity()

    def forward(self, latent: Tensor) -> Tensor:
        """[n, latent_dim] → [n, *shape]."""
        return self.last(self.layers(latent)).view(-1, *self.shape)


class MlpD(nn.Module):
    """[n, *shape] → [n] logits."""

    def __init__(self, spec: MlpDiscriminator, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = _layers(math.prod(shape), spec, 1)

    def forward(self, samples: Tensor) -> Tensor:
        """[n, *shape] → [n] logits."""
        return self.layers(samples.flatten(1)).squeeze(1)

    def features(self, samples: Tensor) -> Tensor:
        """[n, *shape] → [n, width] what the last layer sees."""
        return self.layers[:-1](samples.flatten(1))


def _layers(inputs: int, spec: MlpGenerator | MlpDiscriminator, outputs: int) -> nn.Sequential:
    hidden: list[nn.Module] = []
    for size in [inputs, *[spec.width] * (spec.layers - 1)]:
        hidden += [nn.Linear(size, spec.width), nn.LeakyReLU(spec.leaky_slope)]
    return nn.Sequential(*hidden, nn.Linear(spec.width, outputs))
