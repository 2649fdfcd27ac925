"""What a run records of its epochs: series, samples and how fakes compare with real data."""

from typing import Annotated, Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ganlib.records import EpochEvaluation
from ganlib.wire.view import DescribedAs, View


class ColumnView(View):
    """One column of a series, a number a point."""

    mean: tuple[float | None, ...]
    """Null where one of the point's values is not finite."""
    min: tuple[float | None, ...]
    """Over the finite values; null where there is none."""
    max: tuple[float | None, ...]


class SeriesView(View):
    """Losses (nats), accuracies and gradient norms over a run's steps, in at most `max_points` points.

    A point stands for consecutive steps (or epochs); its minimum and maximum keep what the mean hides.
    """

    resolution: Literal["epoch", "step"]
    steps_per_epoch: int
    steps: tuple[int, ...]
    """First step of each point, from 1."""
    epochs: tuple[int, ...]
    """The epoch of that step, from 1."""
    columns: dict[str, ColumnView]


class SampleView(View):
    """The picture of an epoch's samples, always from the same latents."""

    epoch: int
    sha256: str
    media_type: str
    size: int
    """In bytes."""
    href: str


class SampleList(View):
    """All pictures of a run."""

    items: tuple[SampleView, ...]


class NullView(View):
    """The same figure where fakes are real data."""

    mean: float | None
    q05: float | None
    q95: float | None
    excess: float | None
    """The figure minus `mean`."""


class BinView(View):
    """One NDB bin."""

    real: float
    """Share of the training data in it."""
    fake: float
    """Share of the fakes in it."""
    real_se: float
    fake_se: float
    z: float
    """Positive where fakes are too many."""
    p: float
    different: bool
    ratio_upper: float | None
    """Upper 95 % bound on fake share over real share; null where the bin has neither."""
    missing: bool
    """`ratio_upper` is below a quarter."""


class NdbView(View):
    """Where fakes lie among the bins of the training data."""

    epoch: int
    """0 is the untrained generator."""
    space: str
    n_real: int
    n_fake: int
    num_bins: int
    alpha: float
    """A bin differs where p < alpha."""
    values: dict[str, float | None]
    """`ndb_over_k`, `js` (nats; comparable only at equal counts), `missing_mass`."""
    nulls: dict[str, NullView]
    different: tuple[int, ...]
    """Bins that differ, by their place in `bins`, from 1."""
    missing: tuple[int, ...]
    """Bins that fakes surely leave out, likewise."""
    bins: tuple[BinView, ...]
    """By falling `real`."""
    figure: str
    """Path of the picture."""


class EvaluationView(View):
    """Fakes of one epoch compared with real data."""

    epoch: int
    """0 is the untrained generator."""
    space: str
    n_real: int
    n_fake: int
    n_subset: int
    num_bins: int
    values: dict[str, float | None]
    nulls: dict[str, NullView]
    """Under the same names, where there is one."""
    shift: dict[str, float | None]
    """The same figures of the data set's own test split, where it has one."""
    bins: tuple[BinView, ...]
    """By falling `real`."""


class WrittenAsView(DescribedAs):
    """Marks an evaluation that is written, and documented, as an `EvaluationView`, and read as the value that it is."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Takes the value or its document."""
        to_json = core_schema.plain_serializer_function_ser_schema(EpochEvaluation.to_json)
        return core_schema.no_info_plain_validator_function(_evaluation_of, serialization=to_json)


def _evaluation_of(value: Any) -> EpochEvaluation:
    return value if isinstance(value, EpochEvaluation) else EpochEvaluation.from_json(value)


Evaluated = Annotated[EpochEvaluation, WrittenAsView(lambda: EvaluationView)]


class EvaluationList(View):
    """All evaluations of a run, in order."""

    items: tuple[Evaluated, ...]
