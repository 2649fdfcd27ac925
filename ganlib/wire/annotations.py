"""Labels: what people say of verdicts."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from ganlib.findings import Labelled, Verdict
from ganlib.spec.limits import MAX_EPOCH
from ganlib.spec.part import Name
from ganlib.wire.view import View

Note = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$")]
"""Text of several lines; no other control characters, which would reach terminals."""


class LabelRequest(BaseModel):
    """A person's word on a run, against its verdict or for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    finding: Labelled
    """A failure mode, or `healthy`."""
    holds: StrictBool
    """Whether it is there."""
    epoch: int | None = Field(default=None, ge=1, le=MAX_EPOCH)
    """After which epoch; null: of the whole run."""
    author: Name
    """Who says so."""
    note: Note = ""
    """Why."""


class LabelView(View):
    """A person's word that a finding is, or is not, in a run."""

    id: str
    run_id: str
    finding: Labelled
    """A failure mode, or `healthy`."""
    holds: bool
    """Whether it is there."""
    epoch: int | None
    """After which epoch; null: of the whole run."""
    author: str
    note: str
    ruleset: str
    """Of the diagnosis that was known then."""
    verdict: Verdict
    """Of that diagnosis."""
    created_at: datetime


class LabelList(View):
    """All labels of a run, newest first."""

    items: tuple[LabelView, ...]


class LabelPage(View):
    """A part of the list of all labels, newest first."""

    items: tuple[LabelView, ...]
    next_cursor: str | None
    """`cursor` of the next page; null on the last."""


class LabelledRun(LabelView):
    """A label with what makes its run again."""

    spec: dict[str, Any]
    spec_hash: str
    seed: int
    warm_start: dict[str, Any] | None
    """The checkpoint of another run that it began with; null: spec and seed make it again."""
