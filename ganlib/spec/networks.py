"""The networks' part of a run spec: one class a family. Imports no torch; what fits together: `network_checks`."""

import math
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field

from ganlib.spec.layers import (
    BatchNorm,
    DiscriminatorCondition,
    Dropout,
    FanInInit,
    FlatNorm,
    GeneratorCondition,
    Init,
    LastMinibatch,
    LatentDim,
    Layers,
    LeakySlope,
    NoNorm,
    Norm,
    NormalInit,
    OddKernel,
    Slope,
    SpectralNorm,
    Width,
    XavierInit,
)
from ganlib.spec.part import Part


class DeconvGenerator(Part):
    """Linear latent → width·s·s, transposed convolutions that double the side, one convolution, tanh.

    Source: the published networks for 28 pixels (s = 7), after Radford et al. 2016.
    """

    family: Literal["deconv"] = "deconv"
    latent_dim: LatentDim = 128
    width: Width = 128
    """Channels of every hidden layer."""
    layers: Layers = 2
    """Hidden layers. Each doubles the side, as often as halving the image's gives an even side above 4 pixels to halve:
    28 pixels have 2 doublings, 32 have 3, 64 have 4, 128 have 5. What is more comes before them and keeps the side."""
    kernel_size: int = Field(default=4, ge=2)
    """Kernel of the transposed convolutions."""
    last_kernel_size: OddKernel = 3
    """Kernel of the last convolution; odd, so that the image keeps its size."""
    norm: Norm = NoNorm()
    """Normalisation of every hidden (transposed) convolution."""
    init: Init = FanInInit()
    """How weights and biases are drawn at first."""
    leaky_slope: LeakySlope = 0.2
    dropout: Dropout = 0.0
    """Share of values set to 0 after every hidden layer; where `fake_statistics` is `moving`, none."""
    condition: GeneratorCondition = "none"
    """`concat`: the class, one-hot, is appended to the latent."""


class ResnetGenerator(Part):
    """Linear latent → width·s·s, residual blocks that double the side, norm, one convolution, tanh.

    A block adds norm → ReLU → double → convolution → norm → ReLU → convolution to a doubled 1 x 1 convolution of its
    input. Source: Miyato et al. 2018 (SNGAN) for 32 pixels: three blocks of 256, s = 4, batch norm.
    """

    family: Literal["resnet"] = "resnet"
    latent_dim: LatentDim = 128
    width: Width = 256
    """Channels of every block."""
    layers: Layers = 3
    """Blocks. Each doubles the side as often as it can, as for `deconv`; what is more comes before and keeps it."""
    kernel_size: OddKernel = 3
    """Kernel of the convolutions; odd, so that the image keeps its size."""
    norm: Norm = BatchNorm()
    """Normalisation."""
    init: Init = XavierInit()
    """How weights and biases are drawn at first. The authors' code has a gain of sqrt(2) within the blocks."""
    leaky_slope: Slope = 0.0
    """Negative slope of the activations; 0 is ReLU."""
    dropout: Dropout = 0.0
    """Share of values set to 0 before the second convolution of a block; where `fake_statistics` is `moving`, none."""
    condition: GeneratorCondition = "none"
    """`concat`: the class, one-hot, is appended to the latent."""


class UnetGenerator(Part):
    """An image → an image: convolutions that halve the side, transposed ones that double it, each joined with its like.

    Channels are width, 2·width, 4·width and then 8·width; kernels are 4 x 4; the first and the innermost layer and the
    last have no normalisation. Source: Isola et al. 2017 (pix2pix), there for 256 pixels with 8 layers.
    """

    family: Literal["unet"] = "unet"
    width: Width = 64
    """Channels of the first layer."""
    layers: int | None = Field(default=None, ge=1, le=10)
    """Halvings; null: as many as the side allows, down to an odd one."""
    norm: Norm = BatchNorm()
    """Normalisation of the hidden layers."""
    init: Init = NormalInit()
    """How weights and biases are drawn at first."""
    leaky_slope: Slope = 0.2
    """Negative slope of the LeakyReLUs on the way down; on the way up it is 0."""
    dropout: Dropout = 0.5
    """Share of values set to 0 in the three innermost layers on the way up; the authors' only randomness."""
    condition: GeneratorCondition = "none"
    """`concat`: the class, as one-hot planes, is appended to the image."""

    @property
    def latent_dim(self) -> int:
        """0: it takes an image."""
        return 0


class MlpGenerator(Part):
    """Fully connected layers with LeakyReLU; for points it is the only family built in."""

    family: Literal["mlp"] = "mlp"
    latent_dim: LatentDim = 2
    width: Width = 128
    """Units of every hidden layer."""
    layers: Layers = 2
    """Number of hidden layers."""
    norm: FlatNorm = NoNorm()
    """Normalisation of every hidden layer."""
    init: Init = FanInInit()
    """How weights and biases are drawn at first."""
    leaky_slope: LeakySlope = 0.2
    dropout: Dropout = 0.0
    """Share of values set to 0 after every hidden layer; where `fake_statistics` is `moving`, none."""
    condition: GeneratorCondition = "none"
    """`concat`: the class, one-hot, is appended to the latent."""


class ConvDiscriminator(Part):
    """Convolutions with LeakyReLU that halve the side, then Linear → one logit."""

    family: Literal["conv"] = "conv"
    width: Width = 64
    """Channels of every hidden layer."""
    layers: Layers = 2
    """Hidden layers. Each halves the side where it is even and above 4 pixels; what is more keeps it."""
    kernel_size: int = Field(default=4, ge=2)
    """Kernel of the convolutions."""
    norm: Norm = NoNorm()
    """Normalisation of every hidden convolution."""
    init: Init = FanInInit()
    """How weights and biases are drawn at first."""
    leaky_slope: LeakySlope = 0.2
    dropout: Dropout = 0.0
    """Share of values set to 0 after every hidden layer."""
    minibatch: LastMinibatch = None
    condition: DiscriminatorCondition = "none"
    """`concat`: the class, as one-hot planes, is appended to the image. `projection`: the inner product of the features
    with a learned vector of the class is added to the logit (Miyato & Koyama 2018)."""


class ResnetDiscriminator(Part):
    """Residual blocks, ReLU, sum over places, Linear → one logit.

    A block adds ReLU → convolution → ReLU → convolution, averaged down to half the side where it halves, to its input
    (through a 1 x 1 convolution where shapes differ). All but the last two blocks halve. Source: Miyato et al. 2018
    (SNGAN) for 32 pixels: four blocks of 128, spectral norm.
    """

    family: Literal["resnet"] = "resnet"
    width: Width = 128
    """Channels of every block."""
    layers: Layers = 4
    """Blocks. All but the last two (and always the first) halve the side where it is even and above 4 pixels."""
    kernel_size: OddKernel = 3
    """Kernel of the convolutions; odd, so that the image keeps its size."""
    norm: Norm = SpectralNorm()
    """Normalisation; one that is not spectral comes before each ReLU but the first."""
    init: Init = XavierInit()
    """How weights and biases are drawn at first. The authors' code has a gain of sqrt(2) within the blocks."""
    leaky_slope: Slope = 0.0
    """Negative slope of the activations; 0 is ReLU."""
    dropout: Dropout = 0.0
    """Share of values set to 0 before the second convolution of a block."""
    minibatch: LastMinibatch = None
    condition: DiscriminatorCondition = "none"
    """`concat`: the class, as one-hot planes, is appended to the image. `projection`: the inner product of the features
    with a learned vector of the class is added to the logit (Miyato & Koyama 2018)."""


class PatchDiscriminator(Part):
    """PatchGAN: one logit for each of many overlapping patches, by convolutions alone.

    `layers` convolutions of stride 2, one of stride 1, and the last one, to one channel. Channels are width, 2·width,
    4·width and then 8·width; the first layer has no normalisation. Source: Isola et al. 2017; three layers of 4 x 4
    kernels see patches of 70 x 70 pixels.
    """

    family: Literal["patch"] = "patch"
    width: Width = 64
    """Channels of the first layer."""
    layers: int = Field(default=3, ge=1, le=6)
    """Convolutions of stride 2."""
    kernel_size: int = Field(default=4, ge=3)
    """Kernel of the convolutions."""
    norm: Norm = BatchNorm()
    """Normalisation of every hidden convolution but the first."""
    init: Init = NormalInit()
    """How weights and biases are drawn at first."""
    leaky_slope: LeakySlope = 0.2
    dropout: Dropout = 0.0
    """Share of values set to 0 after every hidden layer."""
    condition: GeneratorCondition = "none"
    """`concat`: the class, as one-hot planes, is appended to the image."""


class MlpDiscriminator(Part):
    """Fully connected layers with LeakyReLU, then one logit."""

    family: Literal["mlp"] = "mlp"
    width: Width = 128
    """Units of every hidden layer."""
    layers: Layers = 2
    """Number of hidden layers."""
    norm: FlatNorm = NoNorm()
    """Normalisation of every hidden layer."""
    init: Init = FanInInit()
    """How weights and biases are drawn at first."""
    leaky_slope: LeakySlope = 0.2
    dropout: Dropout = 0.0
    """Share of values set to 0 after every hidden layer."""
    minibatch: LastMinibatch = None
    condition: DiscriminatorCondition = "none"
    """`concat`: the class, one-hot, is appended to the sample. `projection`: the inner product of the features with a
    learned vector of the class is added to the logit (Miyato & Koyama 2018)."""


PluginName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]


def _are_plain(options: dict[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        if not all(_is_plain(v) for v in (cast("list[Any]", value) if isinstance(value, list | tuple) else [value])):
            raise ValueError(f"{name}: allowed: null, true, false, a finite number, a text, or a list of these")
    return options


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


PluginOptions = Annotated[dict[str, Any], Field(max_length=100), AfterValidator(_are_plain)]


class PluginGenerator(Part):
    """A generator of an installed distribution, which publishes it under the entry-point group `ganlib.networks`.

    Options are checked against the published schema wherever the distribution is installed; at the latest when a
    worker builds the network.
    """

    family: Literal["plugin"] = "plugin"
    name: PluginName
    """Name of the published family."""
    distribution: PluginName | None = None
    """The distribution that publishes it; null: whichever does."""
    latent_dim: LatentDim = 128
    options: PluginOptions = Field(default_factory=dict)
    """Fields of the published schema."""
    condition: GeneratorCondition = "none"
    """`concat`: the network is given the class too."""


class PluginDiscriminator(Part):
    """A discriminator of an installed distribution: see `PluginGenerator`."""

    family: Literal["plugin"] = "plugin"
    name: PluginName
    """Name of the published family."""
    distribution: PluginName | None = None
    """The distribution that publishes it; null: whichever does."""
    options: PluginOptions = Field(default_factory=dict)
    """Fields of the published schema."""
    condition: DiscriminatorCondition = "none"
    """`concat`, `projection`: the network is given the class too, and joins it as it does."""


Generator = Annotated[
    DeconvGenerator | ResnetGenerator | UnetGenerator | MlpGenerator | PluginGenerator, Field(discriminator="family")
]
Discriminator = Annotated[
    ConvDiscriminator | ResnetDiscriminator | PatchDiscriminator | MlpDiscriminator | PluginDiscriminator,
    Field(discriminator="family"),
]
