"""What people say of a verdict: that a finding is there, or that it is not."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ganlib.findings import FindingName
from ganlib.spec.request import Name

Labelled = Literal["healthy", FindingName]
"""What a label is about: one failure mode, or that there is none."""
LABELLED: tuple[Labelled, ...] = get_args(Labelled)
Note = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$")]
"""Text of several lines; no other control characters, which would reach terminals."""


class LabelRequest(BaseModel):
    """A person's word on a run, against its verdict or for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    finding: Labelled
    """A failure mode, or `healthy`."""
    holds: bool
    """Whether it is there."""
    epoch: int | None = Field(default=None, ge=1, le=100_000)
    """After which epoch; null: of the whole run."""
    author: Name
    """Who says so."""
    note: Note = ""
    """Why."""
