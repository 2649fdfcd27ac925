"""Where the next page of a list starts that is sorted by age: after the last item's time and id."""

import base64
import re

from store.core.errors import InvalidCursor

CURSOR = re.compile(r"(?P<created_at>\d+\.\d+) (?P<id>[0-9a-f]{16})")


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
