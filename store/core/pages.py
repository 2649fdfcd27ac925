"""Lists, newest first, in pages: the next one starts after the last item's time and id, whatever was made meanwhile."""

import base64
import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from store.core.errors import InvalidCursor
from store.core.models import Annotation, Run

MAX_PAGE = 200
CURSOR = re.compile(r"(?P<created_at>\d+\.\d+) (?P<id>[0-9a-f]{16})")


Item = TypeVar("Item", bound=Run | Annotation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """A part of a list, newest first."""

    items: list[Item]
    next_cursor: str | None
    """Where the next page starts; None on the last."""


def page_of(
    session: Session, of: type[Item], *guards: ColumnElement[bool], limit: int, cursor: str | None, **columns: str
) -> Page[Item]:
    """Of all of these that pass the guards and whose columns have these values.

    `limit`: at most so many, and 200 whatever it says.

    Raises:
        InvalidCursor: the cursor was not made by this function.
    """
    query = select(of).filter_by(**columns).where(*guards)
    if cursor is not None:
        query = query.where(tuple_(of.created_at, of.id) < tuple_(*decode_cursor(cursor)))
    limit = max(1, min(limit, MAX_PAGE))
    found = list(session.scalars(query.order_by(of.created_at.desc(), of.id.desc()).limit(limit + 1)))
    last = found[limit - 1] if len(found) > limit else None
    return Page(items=found[:limit], next_cursor=None if last is None else encode_cursor(last.created_at, last.id))


def encode_cursor(created_at: float, item_id: str) -> str:
    """The cursor of the page after this item."""
    return base64.urlsafe_b64encode(f"{created_at!r} {item_id}".encode()).decode()


def decode_cursor(cursor: str) -> tuple[float, str]:
    """Time and id of the item before the page.

    Raises:
        InvalidCursor: no list made this cursor.
    """
    try:
        position = CURSOR.fullmatch(base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii"))
    except ValueError:
        position = None
    if position is None:
        raise InvalidCursor(cursor)
    return float(position["created_at"]), position["id"]
