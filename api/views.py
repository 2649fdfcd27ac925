"""What all answers share."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from store.core.models import Annotation, Attempt, Run, Treatment, Upload


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


def utc(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as a time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def fields_of(view: type[View], row: Run | Attempt | Upload | Annotation | Treatment) -> dict[str, Any]:
    """The row's columns that the view shows, seconds since 1970 as times."""
    shown = [name for name in view.model_fields if name in row.__table__.columns]
    return {name: utc(getattr(row, name)) if name.endswith("_at") else getattr(row, name) for name in shown}
