"""New events as they are committed, and up to which position none is missing.

Positions come from a sequence, and transactions commit in another order than they took theirs: an event may appear
below others that are there already. Whoever remembers "everything up to 7" would miss 6, which was taken first and
committed last. For one run that cannot happen, for its row is locked meanwhile. For several runs this is what helps:

- A transaction writes the run's row before it takes positions, so it has its number (its xid) before them.
- Where a position is missing below one that is there, the look takes a number itself. Whoever took the position has a
  lower one. (What a snapshot calls xmax will not do: that follows the highest number that is *over*, and a transaction
  that goes on may have a higher one.)
- Once every transaction with a lower number is over, which PostgreSQL says of the moment that is read (its snapshot's
  xmin), the missing position either is there, for the same moment is read, or never comes: it was rolled back.
- Everything below the first gap is complete, and stays so.

SQLite has one writer at a time, and gives a position to nobody while another holds one: it has no gaps to wait for.
A writing transaction of whatever kind that stays open holds this up, as it does PostgreSQL's own cleaning.
"""

from dataclasses import dataclass

from sqlalchemy import or_, text
from sqlalchemy.orm import Session

from store.core.models import EventRow
from store.runs.events import StoredEvent, from_rows, last_position, selected

MOST = 2000
"""Events that are read at once."""
OLDEST = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
NUMBER = text("SELECT pg_current_xact_id()::text::bigint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Positions that were missing where a higher one was there."""

    first: int
    last: int
    number: int
    """Of a transaction. Once it and all before it are over, none of the positions appears any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was new at a look."""

    events: list[StoredEvent]
    """Each once, by rising position; those of one run never come below an earlier one."""
    complete: int | None
    """No event appears at or below this position any more; None: not known yet."""
    is_all: bool
    """Whether there was no more to read."""


class EventWatch:
    """Looks for new events, from the moment of its first look that knows where it stands."""

    def __init__(self) -> None:
        self._top: int | None = None
        """The highest position that was read."""
        self._gaps: list[Gap] = []
        self._late: set[int] = set()
        """Positions in gaps that have appeared."""
        self._first: Gap | None = None
        """All up to the highest position of the first look."""

    def look(self, session: Session) -> Found:
        """What is new. The session has to see one moment: see `store.core.db.reading`."""
        oldest = _oldest(session)
        if self._top is None and not self._begin(session, oldest):
            return Found(events=[], complete=None, is_all=True)
        assert self._top is not None, "it has begun"
        above = EventRow.position > self._top
        within = [EventRow.position.between(gap.first, gap.last) for gap in self._gaps]
        found = from_rows(session, selected().where(or_(above, *within)).limit(MOST))
        events = [event for event in found if event.position not in self._late]
        self._late.update(event.position for event in events if event.position < self._top)
        for event in events:
            if event.position > self._top + 1:
                self._gaps.append(Gap(first=self._top + 1, last=event.position - 1, number=_number(session)))
            self._top = max(self._top, event.position)
        if len(found) < MOST:  # else what is missing in a gap may only not have been read yet
            self._close(oldest)
        complete = self._gaps[0].first - 1 if self._gaps else self._top
        return Found(events=events, complete=complete, is_all=len(found) < MOST)

    def _begin(self, session: Session, oldest: int) -> bool:
        """Whether all that may still appear lies above the highest position of the first look."""
        if self._first is None:
            self._first = Gap(first=1, last=last_position(session), number=_number(session))
        if self._first.number >= oldest:
            return False
        self._top = self._first.last
        return True

    def _close(self, oldest: int) -> None:
        self._gaps = [gap for gap in self._gaps if gap.number >= oldest]
        self._late = {at for at in self._late if any(gap.first <= at <= gap.last for gap in self._gaps)}


def _oldest(session: Session) -> int:
    """All transactions with a lower number were over at the moment that the session sees."""
    return session.scalars(OLDEST).one() if _has_numbers(session) else 1


def _number(session: Session) -> int:
    """A number above that of every transaction that has one."""
    return session.scalars(NUMBER).one() if _has_numbers(session) else 0


def _has_numbers(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
