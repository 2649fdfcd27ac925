"""How many requests of one process have a session of the database at once. More wait their turn, without a thread.

A session is opened in one thread and used in the next. Were there no limit, those that have opened theirs could wait
for a thread while every thread waits for a connection; none would go on before the pool gives up.
"""

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

SESSIONS = 16
"""Requests with sessions: one to read and one to write each. With `LOOKS` and `WATCHES` as many as the pool has."""
READINGS = 4
"""Uploads that are read at once, each by a process that may take a gibibyte; more wait without a thread."""
LOOKS = 7
"""Looks for what followers of logs, and clients that missed events, are sent, each in a thread of its own."""
WATCHES = 1
"""Looks for new events, for all clients together."""


class SessionLimit:
    """A limit for each event loop: for one process of a service, and for each test."""

    def __init__(self, name: str, most: int) -> None:
        self._limiters: RunVar[CapacityLimiter] = RunVar(name)
        self._most = most

    def limiter(self) -> CapacityLimiter:
        """The limiter of the event loop that runs now, made where it has none."""
        try:
            return self._limiters.get()
        except LookupError:
            limiter = CapacityLimiter(self._most)
            self._limiters.set(limiter)
            return limiter


SESSION_TURNS, LOOK_TURNS = SessionLimit("sessions", SESSIONS), SessionLimit("looks", LOOKS)
WATCH_TURNS = SessionLimit("watches", WATCHES)
READING_TURNS = SessionLimit("readings", READINGS)
