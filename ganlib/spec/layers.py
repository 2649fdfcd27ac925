"""The layers' part of a run spec: normalisation, initialisation, minibatch discrimination. Imports no torch."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ganlib.spec.part import Part


class BatchNorm(Part):
    """Batch normalisation: each channel over the batch and its places. Source: Ioffe & Szegedy 2015."""

    kind: Literal["batch"] = "batch"
    eps: float = Field(default=1e-5, gt=0, le=1)
    """Added to the variance. Keras uses 1e-3."""
    momentum: float = Field(default=0.1, gt=0, le=1)
    """Share of the new batch in the moving statistics. Keras' momentum .99 is .01 here."""


class InstanceNorm(Part):
    """Each channel of each sample over its own places, with a learned scale and shift. Source: Ulyanov et al. 2016."""

    kind: Literal["instance"] = "instance"
    eps: float = Field(default=1e-5, gt=0, le=1)
    """Added to the variance."""


class GroupNorm(Part):
    """Each sample over groups of channels and their places, with a learned scale and shift. Source: Wu & He 2018."""

    kind: Literal["group"] = "group"
    groups: int = Field(default=8, ge=1, le=2048)
    """Number of groups; divides the width. The authors use 32 for widths of 64 and more."""
    eps: float = Field(default=1e-5, gt=0, le=1)
    """Added to the variance."""


class SpectralNorm(Part):
    """Every weight W of the network, the last layer's too, divided by its largest singular value σ(W).

    σ is estimated by power iteration, one round each time the layer is used in training. Source: Miyato et al. 2018.
    """

    kind: Literal["spectral"] = "spectral"
    iterations: int = Field(default=1, ge=1, le=20)
    """Rounds of the power iteration each time."""


class NoNorm(Part):
    """No normalisation."""

    kind: Literal["none"] = "none"


Norm = Annotated[BatchNorm | InstanceNorm | GroupNorm | SpectralNorm | NoNorm, Field(discriminator="kind")]
FlatNorm = Annotated[BatchNorm | GroupNorm | SpectralNorm | NoNorm, Field(discriminator="kind")]
"""Without instance normalisation: a unit has one value a sample, which it would turn into 0."""


class NormalInit(Part):
    """Weights from N(0, std), biases 0, as in DCGAN. Source: Radford et al. 2016."""

    kind: Literal["normal"] = "normal"
    std: float = Field(default=0.02, gt=0, le=10)
    """Standard deviation of the weights."""


class FanInInit(Part):
    """PyTorch's default: weights and biases uniform within ±1/sqrt(fan in)."""

    kind: Literal["fan_in"] = "fan_in"


class XavierInit(Part):
    """Weights uniform within ±gain·sqrt(6 / (fan in + fan out)), biases 0. Source: Glorot & Bengio 2010."""

    kind: Literal["xavier"] = "xavier"
    gain: float = Field(default=1.0, gt=0, le=10)
    """Factor of all weights."""


class KaimingInit(Part):
    """Weights from N(0, 2 / ((1 + slope²)·fan in)), biases 0. Source: He et al. 2015."""

    kind: Literal["kaiming"] = "kaiming"
    slope: float = Field(default=0.0, ge=0, lt=1)
    """Negative slope of the activations that follow; 0 is ReLU."""


class OrthogonalInit(Part):
    """Weights a random matrix with orthonormal rows or columns, times gain; biases 0. Source: Saxe et al. 2014."""

    kind: Literal["orthogonal"] = "orthogonal"
    gain: float = Field(default=1.0, gt=0, le=10)
    """Factor of all weights."""


Init = Annotated[NormalInit | FanInInit | XavierInit | KaimingInit | OrthogonalInit, Field(discriminator="kind")]
Slope = Annotated[float, Field(ge=0, lt=1)]
LeakySlope = Annotated[Slope, Field(description="Negative slope of the LeakyReLUs.")]
Width = Annotated[int, Field(ge=1, le=2048)]
LatentDim = Annotated[int, Field(ge=1, le=4096, description="Entries of the latent, drawn from N(0, 1).")]
Layers = Annotated[int, Field(ge=1, le=32)]
Dropout = Annotated[float, Field(ge=0, le=0.95)]
GeneratorCondition = Literal["none", "concat"]
DiscriminatorCondition = Literal["none", "concat", "projection"]


def _require_odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"{size} is even; allowed: odd sizes")
    return size


OddKernel = Annotated[int, Field(ge=1), AfterValidator(_require_odd)]
"""Keeps the size of an image."""


class Minibatch(Part):
    """Minibatch discrimination: for each kernel b, Σ_j≠i exp(-‖M_ib - M_jb‖₁) is appended to what the last layer sees.

    M_i = T·f(x_i) are `kernels` rows of `size` entries, f(x) the features, T learned; j runs over the batch. With it a
    discriminator can tell that fakes resemble each other. Source: Salimans et al. 2016, 100 kernels of 5; their sum
    holds the constant 1 for j = i besides.
    """

    kernels: int = Field(default=100, ge=1, le=1000)
    """Number of similarities appended."""
    size: int = Field(default=5, ge=1, le=100)
    """Entries compared by each."""


LastMinibatch = Annotated[
    Minibatch | None, Field(description="Minibatch discrimination before the last layer; null: none.")
]
