"""Small, valid comparisons."""

from typing import Any

from sqlalchemy.orm import Session

from ganlib.spec.comparison import ComparisonSpec
from store.comparisons import create
from store.core.models import Run

SPEC: dict[str, Any] = {"reals": "ab" * 32, "fakes": "cd" * 32, "n_real": 60, "n_fake": 60, "shape": (2,)}


def comparison_spec(**changes: Any) -> ComparisonSpec:
    """A comparison of 60 points with 60 others; nothing is stored under their hashes."""
    return ComparisonSpec.model_validate({**SPEC, **changes})


def create_comparison(session: Session, *, key: str | None = None, **changes: Any) -> Run:
    """A queued comparison."""
    return create(session, comparison_spec(**changes), idempotency_key=key)
