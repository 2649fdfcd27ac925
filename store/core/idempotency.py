"""One row a key: a request that is sent again, because its answer was lost, gets what the first one made."""

from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.core.errors import IdempotencyConflict
from store.core.models import Annotation, Batch, Run, Treatment, Webhook

ATTEMPTS = 3

Row = TypeVar("Row", bound=Run | Batch | Treatment | Annotation | Webhook)
"""What is made by a request: it has the columns `idempotency_key` and `request_hash`."""


def insert_once(session: Session, row: Row, key: str | None) -> tuple[Row, bool]:
    """The row, stored under the key; or the one that the same request with the same key made. Whether it is new.

    Raises:
        IdempotencyConflict: the key was used for another request.
        IntegrityError: the row cannot be stored for another reason. Without a key, the session is of no use then.
    """
    row.idempotency_key = key
    if key is None:
        session.add(row)
        session.flush()
        return row, True
    attempt = 0
    while True:
        attempt += 1
        try:
            with session.begin_nested():
                session.add(row)
            return row, True
        except IntegrityError:  # the key is taken, perhaps since a moment ago
            first = made_with(session, type(row), key, row.request_hash)
            if first is not None:
                return first, False
            # It is another reason, or gone again: what took the key was deleted in this moment.
            if attempt == ATTEMPTS:
                raise


def made_with(session: Session, kind: type[Row], key: str, request_hash: str) -> Row | None:
    """What this request with this key made; None where the key is new.

    Raises:
        IdempotencyConflict: the key was used for another request.
    """
    first = session.scalars(select(kind).where(kind.idempotency_key == key)).one_or_none()
    if first is not None and first.request_hash != request_hash:
        raise IdempotencyConflict(key) from None
    return first
