"""The run spec: everything that decides what a training computes, and nothing else.

A spec is frozen, refuses unknown fields and is checked as a whole when it is built, so that a run that
cannot work is refused before it is queued. This module imports no torch: the client and the API use it.

    spec = RunSpec.model_validate({"dataset": {"name": "ring8"}, ...})
    spec_hash(spec)      # equal specs, equal hashes
"""

import hashlib
import json
import math
from copy import deepcopy
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import Field, model_validator

from ganlib.spec.catalog import DatasetInfo
from ganlib.spec.checks.networks import NetworkContext, check_networks, sees_without_class
from ganlib.spec.checks.pairs import check_pairs
from ganlib.spec.checks.ranks import check_ranks
from ganlib.spec.checks.remedies import check_remedies
from ganlib.spec.data import Dataset as Dataset
from ganlib.spec.data import EdgesDataset as EdgesDataset
from ganlib.spec.data import ImageDataset as ImageDataset
from ganlib.spec.data import MixtureDataset as MixtureDataset
from ganlib.spec.data import PairChoice as PairChoice
from ganlib.spec.data import PolygonDataset as PolygonDataset
from ganlib.spec.data import StackedDataset as StackedDataset
from ganlib.spec.data import UploadChoice as UploadChoice
from ganlib.spec.data import UploadDataset as UploadDataset
from ganlib.spec.data import UploadEdgesDataset as UploadEdgesDataset
from ganlib.spec.data import UploadPairsDataset as UploadPairsDataset
from ganlib.spec.diagnosis import Watch
from ganlib.spec.networks import Discriminator, Generator
from ganlib.spec.objective import BceObjective, Objective, Penalties, all_penalties, check_objective, with_usual
from ganlib.spec.optimizer import Adam, Optimizer
from ganlib.spec.part import Part
from ganlib.spec.remedies import Remedies
from ganlib.spec.worker_tags import WorkerTags

SPEC_VERSION = 1


# --- how it is trained ------------------------------------------------------------------------------------------


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
    """Discriminator updates before each generator update (k). Where it is missing, the objective's usual number."""
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
UNPAIRED_MEASURES: tuple[MeasureName, ...] = tuple(name for name in get_args(MeasureName) if name != "paired")
CHEAP_MEASURES: tuple[MeasureName, ...] = ("ndb", "chi_square", "prdc", "repetition", "memorisation", "modes")


class Comparison(Part):
    """How two sets of samples are compared, fakes with reals."""

    measures: tuple[MeasureName, ...] = Field(default=CHEAP_MEASURES, min_length=1)
    """What is measured. `modes` needs known modes or labels, `diversity` images; elsewhere they are left out. `paired`
    compares each fake with the real of its number, in two uploaded sets of images, or with the target of its input."""
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
    """Where the run may be trained, and for how long."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the worker's GPU where it has one."""
    gpus: int = Field(default=1, ge=1, le=64)
    """GPUs that train it together, each in a process with its part of every batch. The losses are those of one GPU, up
    to rounding. Refused where that is not so: with batch norm, dropout, minibatch discrimination, most remedies."""
    gpu_memory_gb: float | None = Field(default=None, ge=1, le=10_000)
    """GB (of 10^9 bytes) of the GPU's memory that the run may take, about 0.5 of which are the driver's; null: the
    whole GPU. Where their sum fits, and the worker has slots for them, several runs share a GPU."""
    labels: WorkerTags = ()
    """Labels, e.g. `h100`, that its worker must have, all of them; none: any worker trains it. At most 8, each of 1 to
    32 letters, digits, dashes and underscores."""
    max_hours: float | None = Field(default=None, gt=0)
    """Hours for which the run may be trained, all its attempts since it was last extended together; null: as many as
    it takes. Past them it fails (`TimeLimit`) with the end of its epoch, keeps what it has recorded, and may be
    extended."""


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
    penalties: Penalties = Penalties()
    """On the discriminator's gradient, beside the objective's own."""
    optimizer: Optimizer = Adam()
    """Of the generator, and of the discriminator unless `discriminator_optimizer` is given. Without it, or null, the
    objective's usual one; without its `name`, the usual one with changes."""
    discriminator_optimizer: Optimizer | None = None
    """Of the discriminator alone; null: `optimizer`; without its `name`: `optimizer` with changes. Two time scales
    (TTUR, Heusel et al. 2017) are rates of 1e-4 for the generator and 4e-4 here (SAGAN, Zhang et al. 2019)."""
    training: Training = Training()
    remedies: Remedies = Remedies()
    samples: Samples = Samples()
    evaluation: Evaluation = Evaluation()
    diagnosis: Watch = Watch()
    resources: Resources = Resources()

    @property
    def data(self) -> DatasetInfo:
        """Shape and classes of the data set."""
        return self.dataset.info

    @property
    def all_penalties(self) -> Penalties:
        """The objective's own penalties and the added ones."""
        return all_penalties(self.objective, self.penalties)

    @property
    def num_classes(self) -> int:
        """Classes that are trained on; 0 where there are no labels."""
        return len(self.dataset.kept_classes)

    @property
    def packing(self) -> int:
        """Samples that the discriminator sees at once."""
        return self.remedies.packing.samples if self.remedies.packing is not None else 1

    @property
    def input_channels(self) -> int:
        """Channels of the images that samples are made from; 0 where they are made from latents."""
        return self.dataset.input_channels if isinstance(self.dataset, PairChoice) else 0

    @property
    def discriminator_shape(self) -> tuple[int, ...]:
        """Shape of what the discriminator sees: a sample, behind its input if any, or a pack, along the channels."""
        channels, *rest = self.data.shape
        return (self.packing * (self.input_channels + channels), *rest)

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

    @model_validator(mode="before")
    @classmethod
    def _usual_of_the_objective(cls, document: Any) -> Any:
        return with_usual(cast("dict[str, Any]", document)) if isinstance(document, dict) else document

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        check_objective(self.objective, self.penalties, self.training.discriminator_update)
        _check_batch(self)
        check_networks(self.generator, self.discriminator, _surroundings(self))
        _check_evaluation(self)
        check_remedies(self)
        check_ranks(self)
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


def _surroundings(spec: RunSpec) -> NetworkContext:
    batch, size = spec.discriminator_batch_size, spec.dataset.size
    left = size % batch if spec.training.sampling == "without_replacement" else 0
    joined = 2 if spec.training.discriminator_update == "joined_batch" else 1
    generators, packs = spec.training.batch_size // spec.packing, (left or batch) // spec.packing
    return NetworkContext(
        data=spec.dataset.name,
        shape=spec.data.shape,
        num_classes=spec.num_classes,
        generator_batch=min(spec.training.batch_size, left or batch),
        discriminator_batch=max(spec.training.batch_size, joined * batch),
        smallest_batch=min(generators, joined * packs),
        paired=spec.input_channels > 0,
    )


def _check_evaluation(spec: RunSpec) -> None:
    if spec.evaluation.space in IMAGE_SPACES and len(spec.data.shape) != 3:
        raise ValueError(
            f"evaluation.space: '{spec.evaluation.space}' needs images, {spec.dataset.name} has points; allowed: "
            f"'pixels', 'discriminator'"
        )
    if spec.evaluation.space == "discriminator" and not sees_without_class(spec.discriminator):
        raise ValueError("evaluation.space: 'discriminator' needs the class of every sample; allowed: 'pixels'")
    smallest = min(spec.evaluation.num_samples, spec.dataset.size)
    if smallest < 2 * SAMPLES_PER_BIN:
        raise ValueError(
            f"dataset: {spec.dataset.size} samples cannot be evaluated; at least {2 * SAMPLES_PER_BIN} are needed"
        )
    check_pairs(spec)
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


def canonical_json(spec: RunSpec | ComparisonSpec, *left_out: str) -> str:
    """The spec with every default written out, keys sorted, no white space; without what these dotted paths name."""
    document = spec.model_dump(mode="json")
    for path in left_out:
        *parents, last = path.split(".")
        part = document
        for key in parents:
            part = part.get(key, {})
        part.pop(last, None)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


UNHASHED = ("diagnosis", "resources.max_hours", "resources.gpu_memory_gb", "resources.gpus", "resources.labels")


def spec_hash(spec: RunSpec | ComparisonSpec) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits: equal specs have equal hashes.

    Leaves out what changes nothing that is computed: `diagnosis` and `resources.max_hours`, which say when a training
    may end early, `resources.gpu_memory_gb`, `resources.labels`, and, up to rounding, `resources.gpus`.
    """
    return hashlib.sha256(canonical_json(spec, *UNHASHED).encode()).hexdigest()


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
        part[last] = deepcopy(value)  # a later path may lead into it
    return changed
