"""Remedies that act while a run trains: each an option, each without effect on any other draw. Imports no torch."""

from typing import Annotated, Literal

from pydantic import Field

from ganlib.spec.part import Part


class LabelSmoothing(Part):
    """One-sided label smoothing: the discriminator's target for reals is below 1, that for fakes stays 0.

    `d_loss_real` = E[−t·log σ(D(x)) − (1 − t)·log(1 − σ(D(x)))], never below the entropy of t: .325 nats at t = .9.
    Only for objectives with a binary cross-entropy. The finding "discriminator wins" then never appears: it needs a
    `d_loss` below .05. Source: Salimans et al. 2016, section 3.4, which takes .9.
    """

    target: float = Field(default=0.9, gt=0.5, le=1)
    """t, the target for reals."""


class InstanceNoise(Part):
    """Gaussian noise on everything that the discriminator sees, reals and fakes alike: D(x + σ·N(0, 1)).

    σ falls in a straight line from its start to 0 over a share of the run's steps. Values of samples lie in [−1, 1].
    Source: Sønderby et al. 2017; Arjovsky & Bottou 2017. They anneal as the run needs it, and name no number.
    """

    std: float = Field(default=0.1, gt=0, le=10)
    """σ at the start."""
    until: float = Field(default=1.0, gt=0, le=1)
    """Share of the run's steps after which no noise is left."""


class MovingAverage(Part):
    """Samples and evaluation come from an exponential moving average (EMA) of the generator's weights.

    After each step θ' ← β·θ' + (1 − β)·θ, from θ' = θ at the start; buffers, as batch norm's, are copied. Training
    is not changed. Source: Yazici et al. 2019 (β .999 to .9999); Karras et al. 2018 (.999).
    """

    decay: float = Field(default=0.999, ge=0, lt=1)
    """β."""
    start: int = Field(default=0, ge=0)
    """Steps before the average begins; until then it is the generator itself."""


class FeatureMatching(Part):
    """The generator matches the mean features of fakes to those of reals: ‖E f(x) − E f(G(z))‖².

    f is what the discriminator's last layer sees. `g_loss` goes on to report the adversarial loss.
    Source: Salimans et al. 2016, section 3.1; their code takes the mean of absolute differences instead.
    """

    distance: Literal["l2", "l1"] = "l2"
    """`l2`: squared Euclidean distance of the means, as the paper has it. `l1`: mean absolute difference over the
    features, as its code has it."""
    weight: float = Field(default=1.0, gt=0)
    """What it is multiplied by."""
    adversarial: bool = False
    """Whether the generator also minimises its adversarial loss; the paper puts feature matching in its place."""


class TargetDistance(Part):
    """Each output is drawn to the target of its input: λ·E|y − G(x)|, the mean over pixels in [−1, 1] (pix2pix).

    For data of pairs. The adversarial loss goes on beside it, and alone is `g_loss`. Source: Isola et al. 2017,
    equations 3 and 4, λ = 100.
    """

    weight: float = Field(default=100.0, gt=0)
    """λ."""


class HistoricalAveraging(Part):
    """Both networks are drawn to the average of their past weights: w·‖θ − (1/t)·Σ θ[i]‖².

    The average is over the weights after each of the t steps so far. No part of a reported loss.
    Source: Salimans et al. 2016, section 3.3, which names no weight.
    """

    weight: float = Field(default=0.01, gt=0)
    """w. On `ring8`, Adam at 1e-3 and w = 1 held both networks near their first weights."""


class Packing(Part):
    """The discriminator sees m samples at once, all real or all fake, stacked along their channels (PacGAN).

    A batch of n samples makes n // m packs. Accuracies are shares of packs.
    Source: Lin et al. 2018, which takes m = 2 to 4.
    """

    samples: int = Field(default=2, ge=2, le=16)
    """m, the samples in a pack."""


class Replay(Part):
    """The discriminator also sees earlier fakes: a fake may change places with one in a pool of them.

    The first fakes fill the pool. After that each fake of an update is swapped, with a given probability, for one of
    the pool; the slots of an update are distinct, so at most as many are swapped as the pool holds.
    Source: Shrivastava et al. 2017, section 2.3, in the form of CycleGAN (Zhu et al. 2017): pool 50, probability ½.
    """

    pool: int = Field(default=50, ge=1, le=10_000)
    """Fakes that are kept."""
    probability: float = Field(default=0.5, gt=0, le=1)
    """That a fake is swapped."""


class Unrolling(Part):
    """The generator plays against the discriminator as it will be after k more updates, and sees through them.

    It minimises −(`d_loss_real` + `d_loss_fake`) of that discriminator: the loss of the minimax game, not the
    non-saturating one, for whose sake it would steer the updates. `g_loss` goes on to report the adversarial loss
    against the present discriminator. The k updates take one batch of reals and the generator's own fakes, by Adam
    from its present moments and with the discriminator's learning rate. The discriminator itself is not moved.
    For smooth gradients the denominator is √(v + ε²) in place of √v + ε. Takes about k times as long.
    Source: Metz et al. 2017, equations 4 to 7, with 5 to 10 steps and rates of 1e-3 and, for the discriminator, 1e-4.
    """

    steps: int = Field(default=5, ge=1, le=50)
    """k."""


AugmentOps = Literal["colour", "translation", "cutout"]


class DiffAugment(Part):
    """Differentiable augmentation of all that the discriminator sees, in both networks' updates.

    `colour`: brightness by ±½, saturation by 0 to 2 times, contrast by ½ to 1½ times (values in [−1, 1]; saturation
    does nothing to a single channel). `translation`: by up to an eighth of the side, zeros move in. `cutout`: a square
    of half the side, anywhere, becomes 0. Source: Zhao et al. 2020.
    """

    ops: tuple[AugmentOps, ...] = Field(default=("colour", "translation", "cutout"), min_length=1)
    """What is done, in the order of this description."""
    translation: float = Field(default=0.125, gt=0, lt=1)
    """Largest translation as a share of the side."""
    cutout: float = Field(default=0.5, gt=0, lt=1)
    """Side of the square that is cut out, as a share of the image's."""


class AdaptiveAugment(Part):
    """Augmentation whose probability follows how far the discriminator overfits (ADA).

    Each operation is done to each sample with probability p. Every `interval` discriminator updates,
    r_t = E[sign D(x)] over their reals is compared with the target: p rises where r_t is above it and falls where it is
    below, at a speed that takes `images` reals from 0 to 1; it stays in [0, 1].
    Differs from the source in the operations, which are those of `diff_augment`, there 18 of geometry and colour.
    Source: Karras et al. 2020: target .6, interval 4, 500,000 images.
    """

    ops: tuple[AugmentOps, ...] = Field(default=("colour", "translation", "cutout"), min_length=1)
    """What is done, in the order of `diff_augment`."""
    target: float = Field(default=0.6, gt=-1, lt=1)
    """r_t that is held."""
    images: int = Field(default=500_000, ge=1)
    """Reals in which p can go from 0 to 1."""
    interval: int = Field(default=4, ge=1, le=10_000)
    """Discriminator updates between two changes of p."""


class GeneratorMixture(Part):
    """A mixture of generators, kept apart by a classifier that tells which of them made a fake (MGAN).

    K generators of the spec's kind, each with weights of its own, make equal shares of every batch. The classifier
    is one layer on what the discriminator's last layer sees; it learns by cross-entropy in the discriminator's
    updates, together with those features, and the generators minimise β times the same, in no reported loss. With
    β = 0 it is a plain mixture. Differs from the source in that its generators share all layers but the first.
    Source: Hoang et al. 2018, equation 3; their code takes 10 generators and β = .01 on CIFAR-10.
    """

    kind: Literal["mixture"] = "mixture"
    count: int = Field(default=10, ge=2, le=64)
    """K."""
    diversity: float = Field(default=0.01, ge=0)
    """β."""


class GeneratorPerClass(Part):
    """A generator of its own for each class, with its own weights; the discriminator is told the class.

    The networks must be conditional; the generators, which make one class each, get no label as an input. Source: the
    practice of training a GAN for each class, here against one conditional discriminator (Mirza & Osindero 2014).
    """

    kind: Literal["per_class"] = "per_class"


Generators = Annotated[GeneratorMixture | GeneratorPerClass, Field(discriminator="kind")]


class Remedies(Part):
    """Published answers to failure modes; null: not taken."""

    label_smoothing: LabelSmoothing | None = None
    """One-sided label smoothing."""
    replay: Replay | None = None
    """Experience replay of earlier fakes."""
    generators: Generators | None = None
    """Several generators in place of one."""
    unrolling: Unrolling | None = None
    """A discriminator some updates ahead."""
    feature_matching: FeatureMatching | None = None
    """Mean features of fakes like those of reals."""
    l1: TargetDistance | None = None
    """Outputs near their targets."""
    historical_averaging: HistoricalAveraging | None = None
    """Weights near their past average."""
    ema: MovingAverage | None = None
    """Moving average of the generator for samples and evaluation."""
    diff_augment: DiffAugment | None = None
    """Augmentation of all that the discriminator sees."""
    adaptive_augment: AdaptiveAugment | None = None
    """The same as often as overfitting needs it."""
    instance_noise: InstanceNoise | None = None
    """Noise on all that the discriminator sees."""
    packing: Packing | None = None
    """Several samples at once for the discriminator."""
