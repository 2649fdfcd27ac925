"""What the training processes of runs log: the newest part of each attempt, in pieces that are never changed."""

import re
from dataclasses import dataclass

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.core.errors import RunNotFound
from store.core.models import LogPiece

KEPT_BYTES = 256 * 1024
"""Of each attempt, at least the newest so many bytes are kept, less one piece."""
PIECE_BYTES = 32 * 1024
LONGEST_LINE = 4000
"""Characters of a line that are shown."""
LINE_ENDS = re.compile(r"\r\n|\r")  # a bar that redraws itself ends its lines with a carriage return
# C0 but tab and line feed, DEL, C1, and what turns the direction of text or hides it.
HOSTILE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A part of the log of an attempt."""

    start: int
    """Bytes that were logged before it."""
    content: bytes

    @property
    def end(self) -> int:
        """Bytes that were logged up to its end."""
        return self.start + len(self.content)


def append(session: Session, run_id: str, attempt: int, start: int, content: bytes) -> None:
    """Stores what an attempt has logged after its first `start` bytes, and forgets what is too old.

    Raises:
        RunNotFound: the run was deleted.
    """
    oldest = start + len(content) - KEPT_BYTES
    session.execute(  # from `start` on: what was stored by a call whose answer was lost
        delete(LogPiece)
        .where(LogPiece.run_id == run_id, LogPiece.attempt == attempt)
        .where(or_(LogPiece.start < oldest, LogPiece.start >= start))
    )
    pieces = (content[offset : offset + PIECE_BYTES] for offset in range(0, len(content), PIECE_BYTES))
    try:
        with session.begin_nested():
            session.add_all(
                LogPiece(run_id=run_id, attempt=attempt, start=start + number * PIECE_BYTES, content=piece)
                for number, piece in enumerate(pieces)
            )
    except IntegrityError:
        raise RunNotFound(run_id) from None


def read(session: Session, run_id: str, attempt: int, after: int = 0) -> LogPart:
    """What is kept of an attempt's log after its first `after` bytes; empty where that is all."""
    pieces = session.scalars(
        select(LogPiece)
        .where(LogPiece.run_id == run_id, LogPiece.attempt == attempt, LogPiece.start > after - PIECE_BYTES)
        .order_by(LogPiece.start)
    ).all()
    if not pieces:
        return LogPart(start=after, content=b"")
    start = pieces[0].start
    content = b"".join(piece.content for piece in pieces)
    skipped = max(0, after - start)
    return LogPart(start=start + skipped, content=content[skipped:])


def whole_lines(part: LogPart) -> LogPart:
    """The part up to its last line end; all of it where one line is longer than is shown."""
    length = part.content.rfind(b"\n") + 1
    if length == 0 and len(part.content) > LONGEST_LINE:
        return part
    return LogPart(start=part.start, content=part.content[:length])


def last_lines(part: LogPart, lines: int) -> LogPart:
    """The last `lines` lines of a part, where they begin kept in `start`."""
    content = b"".join(part.content.splitlines(keepends=True)[-lines:])
    return LogPart(start=part.end - len(content), content=content)


def readable(content: bytes) -> str:
    """The text of a log, harmless on a terminal: control characters are spelt out, and long lines cut."""
    text = HOSTILE.sub(_spelt_out, LINE_ENDS.sub("\n", content.decode("utf-8", "replace")))
    return "\n".join(_cut(line) for line in text.split("\n"))


def _spelt_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}… ({len(line) - LONGEST_LINE:,} more)"
