"""From rows of the store to answers."""

from datetime import UTC, datetime
from typing import Any

from ganlib.wire.view import View
from store.core.models import Annotation, Attempt, Run, Treatment, Upload, Webhook


def utc(seconds: float) -> datetime:
    """Seconds since 1970 as a time."""
    return datetime.fromtimestamp(seconds, UTC)


def fields_of(view: type[View], row: Run | Attempt | Upload | Annotation | Treatment | Webhook) -> dict[str, Any]:
    """The row's columns that the view shows, seconds since 1970 as times."""
    shown = {name: getattr(row, name) for name in view.model_fields if name in row.__table__.columns}
    times = {name: utc(value) for name, value in shown.items() if name.endswith("_at") and value is not None}
    return {**shown, **times}
