"""Labels of workers: a run that asks for some is trained by a worker that has all of them. Imports no torch."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

LABEL = re.compile(r"^[A-Za-z0-9_-]{1,32}$")
MOST_LABELS = 8


def check_label(label: str) -> str:
    """The label.

    Raises:
        ValueError: it is none.
    """
    if LABEL.fullmatch(label) is None:
        raise ValueError(f"{label[:40]!r} is no label; allowed: 1 to 32 letters, digits, dashes and underscores")
    return label


def _in_order(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(labels)))


Label = Annotated[str, AfterValidator(check_label), Field(json_schema_extra={"pattern": LABEL.pattern})]
WorkerTags = Annotated[tuple[Label, ...], Field(max_length=MOST_LABELS), AfterValidator(_in_order)]
"""Sorted, each once."""
