"""The run spec: everything that decides what a training computes, and nothing else.

A spec is frozen, refuses unknown fields and is checked as a whole when it is built, so that a run that
cannot work is refused before it is queued. This module imports no torch: the client and the API use it.

    spec = RunSpec.model_validate({"dataset": {"name": "ring8"}, ...})
    spec_hash(spec)      # equal specs, equal hashes
"""

import hashlib
import json
import math
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ganlib.datasets.catalog import DATASETS, DatasetInfo

SPEC_VERSION = 1


class Part(BaseModel):
    """A frozen part of a spec: unknown fields are refused, numbers must be finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


# --- data -------------------------------------------------------------------------------------------------------


class ImageDataset(Part):
    """Labelled images with pixel values scaled to [-1, 1]."""

    name: Literal["mnist", "fashion-mnist", "mnist-5k"]
    """`mnist` and `fashion-mnist` are found in GANCLINIC_DATA_DIR or downloaded; `mnist-5k` needs no network."""
    classes: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """Keep only these classes, e.g. `[8]`; null keeps all of them."""
    limit: int | None = Field(default=None, ge=2)
    """Keep only the first this many images (after the choice of classes); null keeps all of them."""

    @model_validator(mode="after")
    def _classes_exist(self) -> Self:
        known = len(DATASETS[self.name].class_counts)
        if self.classes is not None:
            unknown = [c for c in self.classes if c >= known]
            if unknown:
                raise ValueError(f"classes: {self.name} has no class {unknown[0]}; allowed: 0 to {known - 1}")
            if len(set(self.classes)) != len(self.classes):
                raise ValueError("classes: each class may be named once")
        return self

    @property
    def size(self) -> int:
        """Number of training images that this choice keeps."""
        counts = DATASETS[self.name].class_counts
        chosen = sum(counts[c] for c in self.classes) if self.classes is not None else sum(counts)
        return chosen if self.limit is None else min(chosen, self.limit)


class MixtureDataset(Part):
    """Points in the plane from a Gaussian mixture with known modes, scaled into [-1, 1]."""

    name: Literal["ring8", "grid25"]
    """`ring8`: 8 modes on a circle; `grid25`: 25 modes on a 5 x 5 grid."""
    size: int = Field(default=10_000, ge=50, le=1_000_000)
    """Number of training points drawn."""


class PolygonDataset(Part):
    """Images of convex polygons, drawn with replacement from the 4,017 whose corners lie on 12 points of a circle."""

    name: Literal["polygons"] = "polygons"
    """`polygons`: a finite set, so that precision and recall of fakes are exact."""
    size: int = Field(default=10_000, ge=50, le=100_000)
    """Number of training images drawn."""


Dataset = Annotated[ImageDataset | MixtureDataset | PolygonDataset, Field(discriminator="name")]


# --- networks ---------------------------------------------------------------------------------------------------


class BatchNorm(Part):
    """Batch normalisation after every hidden (transposed) convolution."""

    kind: Literal["batch"] = "batch"
    eps: float = Field(default=1e-5, gt=0, le=1)
    """Added to the variance. Keras uses 1e-3."""
    momentum: float = Field(default=0.1, gt=0, le=1)
    """Share of the new batch in the moving statistics. Keras' momentum .99 is .01 here."""


class NoNorm(Part):
    """No normalisation."""

    kind: Literal["none"] = "none"


Norm = Annotated[BatchNorm | NoNorm, Field(discriminator="kind")]


class NormalInit(Part):
    """Weights from N(0, std), biases 0, as in DCGAN."""

    kind: Literal["normal"] = "normal"
    std: float = Field(default=0.02, gt=0, le=10)
    """Standard deviation of the weights."""


class FanInInit(Part):
    """PyTorch's default: weights and biases uniform within ±1/sqrt(fan in)."""

    kind: Literal["fan_in"] = "fan_in"


Init = Annotated[NormalInit | FanInInit, Field(discriminator="kind")]
Slope = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=1, le=2048)]


class DeconvGenerator(Part):
    """Linear latent → width·7·7, two transposed convolutions (stride 2), one convolution, tanh."""

    family: Literal["deconv"] = "deconv"
    latent_dim: int = Field(default=128, ge=1, le=4096)
    """Entries of the latent, drawn from N(0, 1)."""
    width: Width = 128
    """Channels of every hidden layer."""
    kernel_size: int = Field(default=4, ge=2)
    """Kernel of the transposed convolutions."""
    last_kernel_size: int = Field(default=3, ge=1)
    """Kernel of the last convolution; odd, so that the image keeps its size."""
    norm: Norm = NoNorm()
    """Normalisation after every hidden (transposed) convolution."""
    init: Init = FanInInit()
    """How weights and biases are drawn at first."""
    leaky_slope: Slope = 0.2
    """Negative slope of the LeakyReLUs."""

    @model_validator(mode="after")
    def _last_kernel_is_odd(self) -> Self:
        if self.last_kernel_size % 2 == 0:
            raise ValueError(f"last_kernel_size: {self.last_kernel_size} is even; allowed: odd sizes")
        return self


class MlpGenerator(Part):
    """Fully connected layers with LeakyReLU; for points it is the only family."""

    family: Literal["mlp"] = "mlp"
    latent_dim: int = Field(default=2, ge=1, le=4096)
    """Entries of the latent, drawn from N(0, 1)."""
    width: Width = 128
    """Units of every hidden layer."""
    layers: int = Field(default=2, ge=1, le=32)
    """Number of hidden layers."""
    init: Init = FanInInit()
    """How weights and biases are drawn at first."""
    leaky_slope: Slope = 0.2
    """Negative slope of the LeakyReLUs."""


class ConvDiscriminator(Part):
    """Two convolutions (stride 2) with LeakyReLU, then Linear → one logit."""

    family: Literal["conv"] = "conv"
    width: Width = 64
    """Channels of every hidden layer."""
    kernel_size: int = Field(default=4, ge=2)
    """Kernel of the convolutions."""
    norm: Norm = NoNorm()
    """Normalisation after every hidden (transposed) convolution."""
    init: Init = FanInInit()
    """How weights and biases are drawn at first."""
    leaky_slope: Slope = 0.2
    """Negative slope of the LeakyReLUs."""


class MlpDiscriminator(Part):
    """Fully connected layers with LeakyReLU, then one logit."""

    family: Literal["mlp"] = "mlp"
    width: Width = 128
    """Units of every hidden layer."""
    layers: int = Field(default=2, ge=1, le=32)
    """Number of hidden layers."""
    init: Init = FanInInit()
    """How weights and biases are drawn at first."""
    leaky_slope: Slope = 0.2
    """Negative slope of the LeakyReLUs."""


Generator = Annotated[DeconvGenerator | MlpGenerator, Field(discriminator="family")]
Discriminator = Annotated[ConvDiscriminator | MlpDiscriminator, Field(discriminator="family")]


# --- how it is trained ------------------------------------------------------------------------------------------


class BceObjective(Part):
    """Non-saturating binary cross-entropy, computed from logits (stable at any logit)."""

    name: Literal["bce"] = "bce"


class ClampedBceObjective(Part):
    """Binary cross-entropy on a sigmoid with its logarithms clamped at -100, as torch.nn.BCELoss does.

    In float32 the sigmoid saturates to exactly 0 or 1, and its gradient to 0: the published runs with a
    learning rate of .2 depend on that.
    """

    name: Literal["clamped-bce"] = "clamped-bce"


Objective = Annotated[BceObjective | ClampedBceObjective, Field(discriminator="name")]


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


DiscriminatorUpdate = Literal["together", "half_batches", "joined_batch"]


class Training(Part):
    """How many updates are made, and how."""

    epochs: int = Field(default=10, ge=1, le=100_000)
    """Epochs, each with its samples, evaluation and diagnosis."""
    steps_per_epoch: int | None = Field(default=None, ge=1, le=1_000_000)
    """Generator updates an epoch; null: one pass over the data."""
    batch_size: int = Field(default=128, ge=1, le=65_536)
    """Fakes in a generator update."""
    discriminator_batch_size: int | None = Field(default=None, ge=1, le=65_536)
    """Reals, and as many fakes, in a discriminator update; null: `batch_size`."""
    discriminator_steps: int = Field(default=1, ge=1, le=100)
    """Discriminator updates before each generator update (k)."""
    discriminator_update: DiscriminatorUpdate = "together"
    """`together`: reals and fakes pass separately, one optimizer step on both losses. `half_batches`: a step on
    the reals, then a step on the fakes. `joined_batch`: one pass over reals and fakes joined in a batch."""
    sampling: Literal["without_replacement", "with_replacement"] = "without_replacement"
    """How reals are drawn."""
    fake_statistics: Literal["batch", "moving"] = "batch"
    """Statistics of the generator's batch norms while it makes fakes for the discriminator."""
    checkpoint_every_epochs: int = Field(default=1, ge=1)
    """A checkpoint is written after every this many epochs, and after the last."""


class Samples(Part):
    """The picture stored each epoch, always from the same latents."""

    count: int = Field(default=64, ge=1, le=1024)
    """Samples in the picture."""


Space = Literal["pixels", "discriminator", "efficientnet-lite0", "inception-v3"]
"""`pixels`: pixel values, or coordinates of points. `discriminator`: what the run's own discriminator sees before its
last layer. `efficientnet-lite0`, `inception-v3`: an extractor trained on ImageNet; images only."""

MeasureName = Literal[
    "ndb",
    "chi_square",
    "prdc",
    "repetition",
    "vendi",
    "memorisation",
    "modes",
    "frechet",
    "kernel",
    "diversity",
    "paired",
]
CHEAP_MEASURES: tuple[MeasureName, ...] = ("ndb", "chi_square", "prdc", "repetition", "memorisation", "modes")


class Comparison(Part):
    """How two sets of samples are compared, fakes with reals."""

    measures: tuple[MeasureName, ...] = Field(default=CHEAP_MEASURES, min_length=1)
    """What is measured. `modes` needs known modes or labels, `diversity` images; elsewhere they are left out. `paired`
    compares each fake with the real of its number, in two uploaded sets of images."""
    space: Space = "pixels"
    """Feature space of all measures."""
    num_bins: int | None = Field(default=None, ge=2, le=1000)
    """K of NDB; null: the largest that the sample counts support, at most 100 (25 samples a bin)."""
    whiten: bool = False
    """Divide every feature by its standard deviation over the reals before binning."""
    max_dims: int | None = Field(default=None, ge=1)
    """Bin on this many features, drawn at random; null: on all of them."""
    neighbours: int = Field(default=5, ge=1, le=50)
    """k of precision, recall, density and coverage."""

    @model_validator(mode="after")
    def _each_measure_once(self) -> Self:
        if len(set(self.measures)) != len(self.measures):
            raise ValueError("measures: each measure may be named once")
        return self


class Evaluation(Comparison):
    """How fakes are compared with real data while a run trains."""

    every_epochs: int = Field(default=1, ge=1)
    """Evaluate after every this many epochs, and after the last."""
    num_samples: int = Field(default=1000, ge=50, le=50_000)
    """Fakes compared. Most measures use fewer where half of the real data is smaller: their null needs two halves."""
    fake_statistics: Literal["batch", "moving"] = "batch"
    """Statistics of the generator's batch norms while it makes fakes for evaluation and pictures."""

    @property
    def comparison(self) -> Comparison:
        """The part that says how, without when."""
        return Comparison(**{name: getattr(self, name) for name in Comparison.model_fields})


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ComparisonSpec(Part):
    """One comparison of two uploaded sets of samples, completely described."""

    spec_version: Literal[1] = SPEC_VERSION
    kind: Literal["comparison"] = "comparison"
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seeds every choice that the measures make."""
    comparison: Comparison = Comparison()
    reals: Sha256
    """Hash of the stored array of real samples."""
    fakes: Sha256
    """Hash of the stored array of fakes."""
    n_real: int = Field(ge=1)
    n_fake: int = Field(ge=1)
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    """Of one sample: (channels, height, width) for images."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        _check_comparison(self)
        return self


class Resources(Part):
    """Where the run may be trained."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the worker's GPU where it has one."""


class RunSpec(Part):
    """One training, completely described."""

    spec_version: Literal[1] = SPEC_VERSION
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seeds everything: weights, latents, data order, evaluation."""
    dataset: Dataset
    """The training data."""
    generator: Generator
    """The network that makes fakes."""
    discriminator: Discriminator
    """The network that tells reals from fakes."""
    objective: Objective = BceObjective()
    """The adversarial loss."""
    optimizer: Adam = Adam()
    """Of the generator, and of the discriminator unless `discriminator_optimizer` is given."""
    discriminator_optimizer: Adam | None = None
    """Of the discriminator alone; null: `optimizer`."""
    training: Training = Training()
    samples: Samples = Samples()
    evaluation: Evaluation = Evaluation()
    resources: Resources = Resources()

    @property
    def data(self) -> DatasetInfo:
        """Shape and classes of the data set."""
        return DATASETS[self.dataset.name]

    @property
    def discriminator_batch_size(self) -> int:
        """Reals in a discriminator update."""
        return self.training.discriminator_batch_size or self.training.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Generator updates an epoch."""
        if self.training.steps_per_epoch is not None:
            return self.training.steps_per_epoch
        return math.ceil(self.dataset.size / (self.discriminator_batch_size * self.training.discriminator_steps))

    @property
    def total_steps(self) -> int:
        """Generator updates of the whole run."""
        return self.steps_per_epoch * self.training.epochs

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        _check_batch(self)
        _check_families(self)
        _check_kernels(self)
        _check_evaluation(self)
        return self


IMAGE_SPACES: tuple[Space, ...] = ("efficientnet-lite0", "inception-v3")
SAMPLES_PER_BIN = 25  # fewer cannot flag an empty average bin: at K = 10 it takes 35 samples, at K = 100 381


def _check_batch(spec: RunSpec) -> None:
    if spec.discriminator_batch_size > spec.dataset.size:
        field = "discriminator_batch_size" if spec.training.discriminator_batch_size else "batch_size"
        raise ValueError(
            f"training.{field}: {spec.discriminator_batch_size} is larger than the data set "
            f"({spec.dataset.size} samples); allowed: 1 to {spec.dataset.size}"
        )


def _check_families(spec: RunSpec) -> None:
    images = len(spec.data.shape) == 3
    if not images:
        for part, family in (("generator", spec.generator.family), ("discriminator", spec.discriminator.family)):
            if family != "mlp":
                raise ValueError(
                    f"{part}.family: '{family}' needs images, {spec.dataset.name} has points; allowed: 'mlp'"
                )


def _check_kernels(spec: RunSpec) -> None:
    side = spec.data.shape[-1]
    kernels = {
        "generator.kernel_size": getattr(spec.generator, "kernel_size", 0),
        "generator.last_kernel_size": getattr(spec.generator, "last_kernel_size", 0),
        "discriminator.kernel_size": getattr(spec.discriminator, "kernel_size", 0),
    }
    for field, kernel in kernels.items():
        if kernel > side:
            raise ValueError(
                f"{field}: {kernel} is larger than the image ({side} x {side} pixels); allowed: up to {side}"
            )


def _check_evaluation(spec: RunSpec) -> None:
    if spec.evaluation.space in IMAGE_SPACES and len(spec.data.shape) != 3:
        raise ValueError(
            f"evaluation.space: '{spec.evaluation.space}' needs images, {spec.dataset.name} has points; allowed: "
            f"'pixels', 'discriminator'"
        )
    smallest = min(spec.evaluation.num_samples, spec.dataset.size)
    if smallest < 2 * SAMPLES_PER_BIN:
        raise ValueError(
            f"dataset: {spec.dataset.size} samples cannot be evaluated; at least {2 * SAMPLES_PER_BIN} are needed"
        )
    if "paired" in spec.evaluation.measures:
        raise ValueError("evaluation.measures: 'paired' needs data whose samples have a counterpart each")
    subset = min(spec.evaluation.num_samples, spec.dataset.size // 2)
    if spec.evaluation.neighbours >= subset:
        raise ValueError(
            f"evaluation.neighbours: {spec.evaluation.neighbours} needs as many other samples in half of the data and "
            f"in the fakes, the smaller has {subset}; allowed: 1 to {subset - 1}"
        )
    if spec.evaluation.num_bins is not None and "ndb" in spec.evaluation.measures:
        check_num_bins(spec.evaluation.num_bins, spec.dataset.size, spec.evaluation.num_samples, "evaluation.num_bins")


def _check_comparison(spec: ComparisonSpec) -> None:
    comparison = spec.comparison
    images = len(spec.shape) == 3
    if comparison.space == "discriminator" or (comparison.space in IMAGE_SPACES and not images):
        needs = "the discriminator of a run" if comparison.space == "discriminator" else "images"
        allowed = ", ".join(f"'{space}'" for space in ("pixels", *(IMAGE_SPACES if images else ())))
        raise ValueError(f"comparison.space: '{comparison.space}' needs {needs}; allowed: {allowed}")
    for field, count in (("n_real", spec.n_real), ("n_fake", spec.n_fake)):
        if count < 2 * SAMPLES_PER_BIN:
            raise ValueError(f"{field}: {count} samples are too few; at least {2 * SAMPLES_PER_BIN} are needed")
    if 2 * comparison.neighbours >= min(spec.n_real, spec.n_fake):
        raise ValueError(
            f"comparison.neighbours: {comparison.neighbours} needs more than {2 * comparison.neighbours} samples on "
            f"either side, the smaller has {min(spec.n_real, spec.n_fake)}"
        )
    if "paired" in comparison.measures and (not images or spec.n_real != spec.n_fake):
        raise ValueError("comparison.measures: 'paired' needs as many real images as fake ones, in the same order")
    if comparison.num_bins is not None and "ndb" in comparison.measures:
        check_num_bins(comparison.num_bins, spec.n_real, spec.n_fake, "comparison.num_bins")


def check_num_bins(num_bins: int, n_real: int, n_fake: int, field: str) -> None:
    """Returns where the sample counts support so many bins.

    Raises:
        ValueError: they do not; it names the smallest counts that would, and the most bins that these support.
    """
    smallest, needed = min(n_real, n_fake), num_bins * SAMPLES_PER_BIN
    if smallest < needed:
        raise ValueError(
            f"{field}: {num_bins} bins need at least {needed} fakes and {needed} reals "
            f"({SAMPLES_PER_BIN} a bin), the smaller has {smallest}; allowed: 2 to {smallest // SAMPLES_PER_BIN}"
        )


def canonical_json(spec: RunSpec | ComparisonSpec) -> str:
    """The spec with every default written out, keys sorted, no white space."""
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def spec_hash(spec: RunSpec | ComparisonSpec) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits: equal specs have equal hashes."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()


def with_settings(document: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A copy of a spec document with dotted paths set, e.g. {"training.epochs": 3}.

    Raises:
        ValueError: a path leads through something that is not an object.
    """
    changed: dict[str, Any] = json.loads(json.dumps(document))
    for path, value in settings.items():
        *parents, last = path.split(".")
        part = changed
        for key in parents:
            inner = part.setdefault(key, {})
            if inner is None:
                inner = part[key] = {}
            if not isinstance(inner, dict):
                raise ValueError(f"{path}: '{key}' is not an object that has fields")
            part = cast("dict[str, Any]", inner)
        part[last] = value
    return changed
