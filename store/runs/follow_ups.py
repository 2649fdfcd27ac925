"""What follows when a run's attempt has ended, in the transaction that ends it.

Named, not imported: these modules stand above this one.
"""

from collections.abc import Callable
from functools import cache
from pkgutil import resolve_name
from typing import cast

from sqlalchemy.orm import Session

from store.core.models import Run

FollowUp = Callable[[Session, Run], None]

FOLLOW_UPS = ("store.treatments:go_on",)
"""`module:function`; each sees every run whose attempt has ended, whatever its status is now."""


def follow_up(session: Session, run: Run) -> None:
    """Does what follows, in the order of the table."""
    for name in FOLLOW_UPS:
        _resolved(name)(session, run)


@cache
def _resolved(name: str) -> FollowUp:
    return cast("FollowUp", resolve_name(name))
