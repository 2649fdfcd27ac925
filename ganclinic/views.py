"""What the service answers, by the names that this package has for it. `ganlib.wire` has the models."""

from dataclasses import dataclass

from ganlib.wire.annotations import LabelView
from ganlib.wire.batches import BatchView
from ganlib.wire.comparisons import ComparisonDetail as ComparisonView
from ganlib.wire.epochs import ColumnView as SeriesColumn
from ganlib.wire.epochs import SeriesView as Series
from ganlib.wire.runs import AttemptView, RunView
from ganlib.wire.runs import RunDetail as RunDetails
from ganlib.wire.treatments import MemberView, TreatmentView
from ganlib.wire.uploads import UploadView
from ganlib.wire.view import View
from ganlib.wire.waiting import LimitView, ReasonView, SpreadView, WaitingView
from ganlib.wire.workers import WorkerView

__all__ = [
    "AttemptView",
    "BatchView",
    "ComparisonView",
    "LabelView",
    "LimitView",
    "MemberView",
    "ReasonView",
    "RunDetails",
    "RunLog",
    "RunView",
    "Series",
    "SeriesColumn",
    "SpreadView",
    "TreatmentView",
    "UploadView",
    "View",
    "WaitingView",
    "WorkerView",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    """What an attempt has logged."""

    attempt: int
    text: str
    """Lines."""
    end: int
    """Bytes that it had logged up to the end of that."""
