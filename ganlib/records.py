"""What a training reports, as plain arrays and numbers: the border between training, storage and diagnosis.

Imports no torch, so that the store, the diagnosis and the client can use it.
"""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BeforeValidator, TypeAdapter, WithJsonSchema

if TYPE_CHECKING:  # the command line reads evaluations and has no arrays: NumPy would cost it a third of its start
    import numpy as np
    from numpy.typing import NDArray

JsonFloat = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]
"""A float that strict JSON writes as null where it is not finite."""

STEP_COLUMNS = (
    "d_loss_real",
    "d_loss_fake",
    "g_loss",
    "d_acc_real",
    "d_acc_fake",
    "d_grad_norm",
    "g_grad_norm",
    "d_auc",
)
"""Columns of a step block, in order. Losses in nats; accuracies in [0, 1]; norms of the whole gradient vector; `d_auc`,
the chance in [0, 1] that a real of the batch has a higher logit than a fake, which means the same under any objective.
Where a step has several discriminator updates, their mean. Non-finite values are kept as data."""

GRADIENT_UPDATES = 50
"""Updates behind one record of the layers' gradients."""


ALPHA = 0.05
"""NDB's significance level, the paper's: a bin is different where p < ALPHA."""
NDB_FIGURES = ("ndb_over_k", "js", "missing_mass")
"""Figures that bins give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGradients:
    """How hard each layer was pulled at some time of the training."""

    step: int
    """Steps made by then."""
    ratios: dict[str, JsonFloat]
    """Norm of the gradient over norm of the weight, of every weight with two or more dimensions, named
    `generator.<parameter>` or `discriminator.<parameter>`: the median over the last GRADIENT_UPDATES updates of the
    epoch, or as many as it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """One epoch of a training."""

    epoch: int
    """From 1."""
    first_step: int
    """Steps made before this epoch, from 0."""
    steps: "NDArray[np.float32]"
    """[steps_per_epoch, len(STEP_COLUMNS)]."""
    samples: "NDArray[np.float32]"
    """[count, *shape] in [-1, 1], from the run's fixed latents, or from the first of the held-out inputs."""
    fakes: "NDArray[np.float32] | None"
    """[num_samples, *shape] for evaluation; None in an epoch without one."""
    gradients: tuple[LayerGradients, ...] = ()
    """At the epoch's end, and before it, in the first epoch, after the first GRADIENT_UPDATES updates."""
    inputs: "NDArray[np.float32] | None" = None
    """[count, channels, height, width] in [-1, 1], what the samples were made from; None without pairs."""
    targets: "NDArray[np.float32] | None" = None
    """[count, *shape] in [-1, 1], what the samples were to be; None without pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """The same figure where fakes are real data: what a perfect generator would score."""

    mean: JsonFloat
    q05: JsonFloat
    q95: JsonFloat
    excess: JsonFloat
    """The figure minus `mean`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One NDB bin."""

    real: float
    """Share of the training data in it."""
    fake: float
    """Share of the fakes in it."""
    real_se: float
    """Standard error of `real`."""
    fake_se: float
    """Standard error of `fake`."""
    z: float
    """Two-proportion z, pooled; positive where fakes are too many, 0 where undefined."""
    p: float
    """Two-sided p; 1 where the bin is empty or full on both sides."""
    different: bool
    """p < alpha."""
    ratio_upper: JsonFloat
    """Upper 95 % bound on fake share over real share; not a number where the bin has neither."""
    missing: bool
    """`ratio_upper` is below a quarter: fakes surely leave most of the bin out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEvaluation:
    """Fakes of one epoch compared with real data, each figure with its null where it has one."""

    epoch: int
    """Epoch of the fakes; 0 is the untrained generator."""
    space: str
    """The feature space, which for an extractor is its name."""
    n_real: int
    """Reals behind the bins: all of the training data, and at most 10,000 of it in a space of a network. Memorisation
    looks at all of it, or is left out."""
    n_fake: int
    """Fakes in the bins and memorisation."""
    n_subset: int
    """Reals, and as many fakes, behind every other figure."""
    num_bins: int
    """K of NDB; 0 where it was not asked for."""
    values: dict[str, JsonFloat]
    """Figures by name, as docs/evaluation.md defines them."""
    nulls: dict[str, Null]
    """Under the same names; a name without a null is missing here."""
    shift: dict[str, JsonFloat]
    """The same figures of the data set's own test split, where it has one: not a null, for splits may differ."""
    bins: tuple[Bin, ...]
    """Sorted by falling `real`."""

    def to_json(self) -> dict[str, Any]:
        """Plain types only; not-a-number and infinities become None."""
        return finite_json(asdict(self))

    @classmethod
    def from_json(cls, document: Any) -> "EpochEvaluation":
        """The inverse of `to_json`, where None becomes not-a-number."""
        return TypeAdapter(cls).validate_python(document)


def finite_json(value: Any) -> Any:
    """The value with tuples as lists and non-finite numbers as None, as strict JSON needs it."""
    match value:
        case dict():
            return {key: finite_json(v) for key, v in cast("dict[str, Any]", value).items()}
        case list() | tuple():
            return [finite_json(v) for v in cast("list[Any]", value)]
        case float():  # NumPy's float64 is one, too
            return float(value) if math.isfinite(value) else None
        case _:
            return value
