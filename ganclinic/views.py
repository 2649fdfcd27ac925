"""What the service answers, by the names that this package has for it. `ganlib.wire` has the models."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganlib.wire.annotations import LabelView
    from ganlib.wire.batches import BatchView
    from ganlib.wire.comparisons import ComparisonDetail as ComparisonView
    from ganlib.wire.epochs import ColumnView as SeriesColumn
    from ganlib.wire.epochs import SeriesView as Series
    from ganlib.wire.events import EventView
    from ganlib.wire.results import BatchResults, ComparedRuns
    from ganlib.wire.runs import AttemptView, RunView
    from ganlib.wire.runs import RunDetail as RunDetails
    from ganlib.wire.treatments import MemberView, TreatmentView
    from ganlib.wire.uploads import UploadView
    from ganlib.wire.view import View
    from ganlib.wire.waiting import LimitView, ReasonView, SpreadView, WaitingView
    from ganlib.wire.webhooks import MadeWebhook, WebhookView
    from ganlib.wire.workers import WorkerView

__all__ = [
    "AttemptView",
    "BatchResults",
    "BatchView",
    "ComparedRuns",
    "ComparisonView",
    "EventView",
    "LabelView",
    "LimitView",
    "MadeWebhook",
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
    "WebhookView",
    "WorkerView",
]


_HOMES = {
    "AttemptView": ("ganlib.wire.runs", "AttemptView"),
    "BatchResults": ("ganlib.wire.results", "BatchResults"),
    "BatchView": ("ganlib.wire.batches", "BatchView"),
    "ComparedRuns": ("ganlib.wire.results", "ComparedRuns"),
    "ComparisonView": ("ganlib.wire.comparisons", "ComparisonDetail"),
    "EventView": ("ganlib.wire.events", "EventView"),
    "LabelView": ("ganlib.wire.annotations", "LabelView"),
    "LimitView": ("ganlib.wire.waiting", "LimitView"),
    "MadeWebhook": ("ganlib.wire.webhooks", "MadeWebhook"),
    "MemberView": ("ganlib.wire.treatments", "MemberView"),
    "ReasonView": ("ganlib.wire.waiting", "ReasonView"),
    "RunDetails": ("ganlib.wire.runs", "RunDetail"),
    "RunView": ("ganlib.wire.runs", "RunView"),
    "Series": ("ganlib.wire.epochs", "SeriesView"),
    "SeriesColumn": ("ganlib.wire.epochs", "ColumnView"),
    "SpreadView": ("ganlib.wire.waiting", "SpreadView"),
    "TreatmentView": ("ganlib.wire.treatments", "TreatmentView"),
    "UploadView": ("ganlib.wire.uploads", "UploadView"),
    "View": ("ganlib.wire.view", "View"),
    "WaitingView": ("ganlib.wire.waiting", "WaitingView"),
    "WebhookView": ("ganlib.wire.webhooks", "WebhookView"),
    "WorkerView": ("ganlib.wire.workers", "WorkerView"),
}
"""Module and name of each model. They are imported when they are used: a command needs few of them."""


def __getattr__(name: str) -> Any:
    """The model of that name, imported now."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ganclinic.views' has no attribute '{name}'")
    module, real = _HOMES[name]
    return getattr(import_module(module), real)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    """What an attempt has logged."""

    attempt: int
    text: str
    """Lines."""
    end: int
    """Bytes that it had logged up to the end of that."""
