"""How weights follow a gradient: optimizers, gradient clipping and learning-rate schedules. Imports no torch."""

from typing import Annotated, Literal

from pydantic import Field

from ganlib.spec.part import Part


class ConstantRate(Part):
    """The learning rate stays as it is: factor 1."""

    kind: Literal["constant"] = "constant"
    warmup_steps: int = Field(default=0, ge=0, le=1_000_000)
    """First steps in which the factor rises from near 0: (step + 1) / warmup_steps. As Goyal et al. 2017."""


class LinearRate(Part):
    """The factor is 1 up to `start`, then falls in a straight line to `final` at the end of the run.

    Source: the rule of pix2pix and CycleGAN (Isola et al. 2017, Zhu et al. 2017), which keep the rate for half of the
    run and let it fall to 0 in the other half.
    """

    kind: Literal["linear"] = "linear"
    start: float = Field(default=0.5, ge=0, lt=1)
    """Share of the run's steps after which it falls."""
    final: float = Field(default=0.0, ge=0, le=1)
    """Factor at the end of the run."""
    warmup_steps: int = Field(default=0, ge=0, le=1_000_000)
    """First steps in which the factor is also multiplied by (step + 1) / warmup_steps."""


class CosineRate(Part):
    """The factor falls from 1 to `final` along half a cosine: final + (1 − final)·(1 + cos(π·step/steps)) / 2.

    Source: Loshchilov & Hutter 2017, without restarts.
    """

    kind: Literal["cosine"] = "cosine"
    final: float = Field(default=0.0, ge=0, le=1)
    """Factor at the end of the run. R3GAN lets its rate fall from 2e-4 to 5e-5: .25."""
    warmup_steps: int = Field(default=0, ge=0, le=1_000_000)
    """First steps in which the factor is also multiplied by (step + 1) / warmup_steps."""


Schedule = Annotated[ConstantRate | LinearRate | CosineRate, Field(discriminator="kind")]


class Adam(Part):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["adam"] = "adam"
    learning_rate: float = Field(default=2e-4, gt=0, le=10)
    """Step size. Adam's authors suggest 1e-3, DCGAN's 2e-4."""
    beta1: float = Field(default=0.5, ge=0, lt=1)
    """Decay of the first moment. Adam's authors suggest .9, DCGAN's .5."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the second moment."""
    eps: float = Field(default=1e-8, gt=0, le=1)
    """Added to the root of the second moment. Keras uses 1e-7."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Scale the whole gradient down to this Euclidean norm where it is larger (Pascanu et al. 2013); null: never."""
    schedule: Schedule = ConstantRate()
    """Factor of the learning rate as a function of the generator's step."""


class RmsProp(Part):
    """RMSprop (Tieleman & Hinton 2012): the gradient over the root of its mean square."""

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate: float = Field(default=5e-5, gt=0, le=10)
    """Step size. WGAN's 5e-5."""
    decay: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the mean square; PyTorch's default, for WGAN's paper names none."""
    eps: float = Field(default=1e-8, gt=0, le=1)
    """Added to the root of the mean square."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Scale the whole gradient down to this Euclidean norm where it is larger (Pascanu et al. 2013); null: never."""
    schedule: Schedule = ConstantRate()
    """Factor of the learning rate as a function of the generator's step."""


class Sgd(Part):
    """Stochastic gradient descent, with momentum where asked for (Polyak 1964)."""

    name: Literal["sgd"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0, le=10)
    """Step size."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running sum of gradients that is followed."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Scale the whole gradient down to this Euclidean norm where it is larger (Pascanu et al. 2013); null: never."""
    schedule: Schedule = ConstantRate()
    """Factor of the learning rate as a function of the generator's step."""


Optimizer = Annotated[Adam | RmsProp | Sgd, Field(discriminator="name")]
