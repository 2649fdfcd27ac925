"""What the API takes in queries and forms; bodies are in `ganlib.spec.request` and `ganlib.wire`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ganlib.data.picture_files import Convert
from ganlib.findings import Verdict
from ganlib.spec.data import ImageSide
from ganlib.spec.limits import MAX_EPOCH
from ganlib.spec.part import Name
from ganlib.spec.problems import problems_of
from ganlib.spec.request import InvalidRequest
from ganlib.spec.tags import MOST_TAGS, RunTag
from ganlib.wire.statuses import EVENT_KINDS, EventKind, Status
from ganlib.wire.watching import WatchedEnd
from store.core.pages import MAX_PAGE

MAX_STEP = MAX_EPOCH * 1_000_000
MAX_POINTS = 5000
MOST_COMPARED = 100
MAX_EVENT = 2**62


class Parameters(BaseModel):
    """Base of query parameters: a misspelt one is refused, not overlooked."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Filter = Annotated[str, Field(max_length=200)]
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _is_written_out(value: Any) -> Any:
    """Refuses what pydantic would take besides: numbers of seconds, which the OpenAPI document knows nothing of."""
    if isinstance(value, str) and RFC_3339.fullmatch(value) is None:
        raise ValueError("is no time of RFC 3339 with its offset; write it as 2026-12-01T09:00:00Z")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_is_written_out)]


class RunQuery(Parameters):
    """Which runs to list."""

    status: Status | None = None
    preset: Filter | None = None
    verdict: Verdict | None = None
    batch: Filter | None = None
    """Id of a batch."""
    name: Filter | None = None
    user: Filter | None = None
    """Who submitted it."""
    team: Filter | None = None
    """Whose team."""
    tag: list[RunTag] = Field(default=[], max_length=MOST_TAGS)
    """Only runs that have this tag; may be given again, and then they have all."""
    made_after: Time | None = None
    """Only runs made after this time (RFC 3339, with its offset)."""
    made_before: Time | None = None
    """Only runs made before it."""
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)
    cursor: Filter | None = None
    """`next_cursor` of the page before."""


class GlanceQuery(Parameters):
    """Which runs to look at."""

    run: list[Annotated[str, Field(pattern="^[0-9a-f]{16}$")]] = Field(max_length=100)
    """Ids; may be given again."""


class PageQuery(Parameters):
    """Which part of a list to read."""

    limit: int = Field(default=50, ge=1, le=MAX_PAGE)
    cursor: Filter | None = None
    """`next_cursor` of the page before."""


class ComparisonQuery(Parameters):
    """Which evaluations of uploaded samples to list."""

    status: Status | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)
    cursor: Filter | None = None
    """`next_cursor` of the page before."""


class UploadOptions(BaseModel):
    """What comes with an uploaded set, as fields of the form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = None
    image_size: ImageSide | None = None
    pairs: bool = False
    convert: Convert | None = None

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """The options in a form's fields.

        Raises:
            InvalidRequest: with every field that is wrong.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InvalidRequest(problems_of(error, cls)) from None


class EpochEndQuery(Parameters):
    """What is said of an epoch of a watched run."""

    seconds: float = Field(default=0.0, ge=0, le=1e9, allow_inf_nan=False)
    """How long it took."""


class TrainingEndQuery(Parameters):
    """How a watched training has ended."""

    outcome: WatchedEnd = "succeeded"
    error: Annotated[str, Field(max_length=2000)] | None = None
    """Why it failed, for people."""


class EpochQuery(Parameters):
    """Which epoch to look at."""

    epoch: int | None = Field(default=None, ge=0, le=MAX_EPOCH)
    """By default the last one."""


class SinceQuery(Parameters):
    """Which epochs to read."""

    since: int = Field(default=-1, ge=-1, le=MAX_EPOCH)
    """Only those after this epoch."""


class RulesetQuery(Parameters):
    """Whose judgement to read."""

    ruleset: Filter | None = None
    """By default the newest that has judged the epoch."""


class DiagnosisQuery(EpochQuery, RulesetQuery):
    """Which diagnosis to read."""


class EventQuery(Parameters):
    """Which events to hear."""

    kind: list[EventKind] = Field(default=[], max_length=len(EVENT_KINDS))
    """Only those of these kinds, e.g. `?kind=status&kind=epoch`; by default all, and of all runs all but `progress`."""
    after: int | None = Field(default=None, ge=0, le=MAX_EVENT)
    """Only those whose id is higher; a header `Last-Event-ID` goes before. By default a run's and a batch's from the
    first on, and of all runs those to come."""


class ResultQuery(Parameters):
    """Which results to read, and how."""

    format: Literal["json", "csv"] = "json"
    verdict: Verdict | None = None
    sort: str | None = Field(default=None, pattern="^-?[a-z][a-z0-9_]*$", max_length=100)
    """A figure, e.g. `ndb_over_k`, or `seconds`, `epochs_done`, `first_epoch_seen`; with a `-` before it, the highest
    first. Runs that have none come last. By default the order of the request."""


class CompareQuery(Parameters):
    """Which runs to compare."""

    runs: list[Annotated[str, Field(max_length=200)]] = Field(min_length=1, max_length=MOST_COMPARED)
    """Their ids: `?runs=…&runs=…`."""


class HistoryQuery(SinceQuery, RulesetQuery):
    """Which diagnoses to read."""


class SeriesQuery(Parameters):
    """Which part of a series to read, and how finely."""

    since: int = Field(default=0, ge=0, le=MAX_STEP)
    """Only what comes after this step."""
    resolution: Literal["epoch", "step"] = "epoch"
    first_step: int = Field(default=1, ge=1, le=MAX_STEP)
    last_step: int = Field(default=MAX_STEP, ge=1, le=MAX_STEP)
    """Included."""
    max_points: int = Field(default=1000, ge=1, le=MAX_POINTS)
