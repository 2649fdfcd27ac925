"""What the API answers of labels."""

from datetime import datetime
from typing import Any, Self

from api.views import View, fields_of
from ganlib.diagnosis.annotation import Labelled
from ganlib.findings import Verdict
from store.core.models import Annotation, Run


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

    @classmethod
    def of(cls, label: Annotation) -> Self:
        """The view of a stored label."""
        return cls(**fields_of(cls, label))


class LabelList(View):
    """All labels of a run, newest first."""

    items: list[LabelView]


class LabelPage(View):
    """A part of the list of all labels, newest first."""

    items: list[LabelView]
    next_cursor: str | None
    """`cursor` of the next page; null on the last."""


class LabelledRun(LabelView):
    """A label with what makes its run again."""

    spec: dict[str, Any]
    spec_hash: str
    seed: int
    warm_start: dict[str, Any] | None
    """The checkpoint of another run that it began with; null: spec and seed make it again."""

    @classmethod
    def of_run(cls, label: Annotation, run: Run) -> Self:
        """One line of the export."""
        return cls(
            **fields_of(LabelView, label),
            spec=run.spec,
            spec_hash=run.spec_hash,
            seed=run.seed,
            warm_start=run.warm_start,
        )
