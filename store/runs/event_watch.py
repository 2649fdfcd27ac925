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

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import or_, text
from sqlalchemy.orm import Session

from store.core.models import EventRow
from store.runs.events import StoredEvent, from_rows, last_position, selected

MOST = 500
"""Events that are read at once."""
RANGES = 200
"""Gaps that one query looks into."""
OLDEST = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
NUMBER = text("SELECT pg_current_xact_id()::text::bigint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Neighbouring positions that are missing where a higher one is there."""

    first: int
    last: int
    number: int
    """Of a transaction. Once it and all before it are over, none of the positions appears any more."""

    def without(self, positions: Sequence[int]) -> "Iterator[Gap]":
        """What is missing yet where some of its positions have appeared, which rise."""
        first = self.first
        for position in positions:
            if position > first:
                yield Gap(first=first, last=position - 1, number=self.number)
            first = position + 1
        if first <= self.last:
            yield Gap(first=first, last=self.last, number=self.number)


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
        """What is missing below it, by rising position: what has appeared is in none of them."""
        self._first: Gap | None = None
        """All up to the highest position of the first look."""

    def look(self, session: Session) -> Found:
        """What is new. The session has to see one moment: see `store.core.db.reading`."""
        oldest = _oldest(session)
        if self._top is None and not self._begin(session, oldest):
            return Found(events=[], complete=None, is_all=True)
        assert self._top is not None, "it has begun"
        late, gaps = _late(session, self._gaps)
        above = _above(session, self._top, MOST - len(late))
        is_all = len(late) + len(above) < MOST
        if missing := _missing(self._top, above):
            number = _number(session)  # not at every look, for each uses one up
            gaps += [Gap(first=first, last=last, number=number) for first, last in missing]
        if is_all:  # else what is missing in a gap may only not have been read yet
            gaps = [gap for gap in gaps if gap.number >= oldest]
        # Only now, for a query that failed leaves all of them to the next look.
        self._gaps = gaps
        self._top = above[-1].position if above else self._top
        complete = gaps[0].first - 1 if gaps else self._top
        return Found(events=[*late, *above], complete=complete, is_all=is_all)

    def _begin(self, session: Session, oldest: int) -> bool:
        """Whether all that may still appear lies above the highest position of the first look."""
        if self._first is None:
            self._first = Gap(first=1, last=last_position(session), number=_number(session))
        if self._first.number >= oldest:
            return False
        self._top = self._first.last
        return True


def _late(session: Session, gaps: list[Gap]) -> tuple[list[StoredEvent], list[Gap]]:
    """The first events that have appeared in gaps, and what is missing yet."""
    found, left = list[StoredEvent](), list[Gap]()
    for first in range(0, len(gaps), RANGES):
        some = gaps[first : first + RANGES]
        if len(found) == MOST:
            left += some
            continue
        within = or_(*(EventRow.position.between(gap.first, gap.last) for gap in some))
        appeared = from_rows(session, selected().where(within).limit(MOST - len(found)))
        positions = [event.position for event in appeared]
        for gap in some:
            left += gap.without(positions[bisect_left(positions, gap.first) : bisect_right(positions, gap.last)])
        found += appeared
    return found, left


def _above(session: Session, top: int, most: int) -> list[StoredEvent]:
    """The first events above a position."""
    return from_rows(session, selected().where(EventRow.position > top).limit(most)) if most else []


def _missing(top: int, above: list[StoredEvent]) -> list[tuple[int, int]]:
    """The first and the last of neighbouring positions that are missing below events, which rise from a position."""
    neighbours = pairwise([top, *(event.position for event in above)])
    return [(before + 1, position - 1) for before, position in neighbours if position > before + 1]


def _oldest(session: Session) -> int:
    """All transactions with a lower number were over at the moment that the session sees."""
    return session.scalars(OLDEST).one() if _has_numbers(session) else 1


def _number(session: Session) -> int:
    """A number above that of every transaction that has one."""
    return session.scalars(NUMBER).one() if _has_numbers(session) else 0


def _has_numbers(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
