"""Evaluations of uploaded samples. Inside, such a job is called a comparison."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel

from ganlib.wire.epochs import Evaluated
from ganlib.wire.statuses import FINAL_STATUSES, Status
from ganlib.wire.view import View, WrittenAs


def _options() -> type[BaseModel]:
    from ganlib.spec.request import ComparisonOptions

    return ComparisonOptions


class ComparisonLinks(View):
    """Paths of everything that belongs to an evaluation of uploaded samples."""

    self: str
    ndb_figure: str


class ComparisonView(View):
    """An evaluation of uploaded samples as it is now."""

    id: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    """Number of the last attempt; 0 before the first."""
    cancel_requested: bool
    n_real: int
    """Real samples that were uploaded."""
    n_fake: int
    """Fakes that were uploaded."""
    shape: tuple[int, ...]
    """Of one sample: (channels, height, width) for images."""
    options: Annotated[dict[str, Any], WrittenAs(_options)]
    """With every default written out."""
    error: str | None
    """Why it failed."""
    error_kind: str | None
    links: Annotated[dict[str, str], WrittenAs(lambda: ComparisonLinks)]

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL_STATUSES


class ComparisonDetail(ComparisonView):
    """An evaluation of uploaded samples with what it found."""

    evaluation: Evaluated | None
    """Null before its success."""


class ComparisonPage(View):
    """A part of the list of evaluations of uploaded samples, newest first."""

    items: tuple[ComparisonView, ...]
    next_cursor: str | None
    """`cursor` of the next page; null on the last."""
