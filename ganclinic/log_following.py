"""The log of a run, followed from attempt to attempt. Private to the client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ganclinic import views
from ganclinic.errors import NotFound, ServiceFailed, ServiceUnreachable
from ganclinic.polling import Polling
from ganclinic.transport import Transport

if TYPE_CHECKING:
    from ganclinic.views import RunDetails, RunLog


class Looks(Protocol):
    """What of a run is looked at."""

    def get_run(self, run_id: str) -> RunDetails:
        """The run as it is now."""
        ...

    def log(self, run_id: str, *, attempt: int | None = None, tail: int | None = None) -> RunLog:
        """What an attempt (None: the newest) has logged, its last `tail` lines (None: all)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFollower:
    """Follows the log of one run."""

    run_id: str
    path: str
    """Of the stream of events."""
    client: Looks
    transport: Transport
    polling: Polling

    def follow(self, attempt: int | None, tail: int | None) -> Iterator[str]:
        """Text as it is logged, in whole lines, until the attempt is over; without an attempt, until the run is."""
        while (began := self.polling.through_outages(lambda: self._first(attempt, tail))) is None:
            self.polling.pause()
        while True:
            yield began.text
            yield from self._rest(began)
            if attempt is not None or (following := self._next(began.attempt)) is None:
                return
            began = following

    def _first(self, attempt: int | None, tail: int | None) -> RunLog | None:
        try:
            return self.client.log(self.run_id, attempt=attempt, tail=tail)
        except NotFound:
            if attempt is not None or self.client.get_run(self.run_id).is_final:
                raise
            return None

    def _rest(self, began: RunLog) -> Iterator[str]:
        """What comes after, event by event; goes on where a broken connection left off."""
        after, deadline = began.end, None
        while True:
            try:
                with self.transport.events(self.path, {"attempt": began.attempt}, after=after) as events:
                    deadline = None  # it answers; keep-alives, which say so later, are no events
                    for event in events:
                        if event.kind == "end":
                            return
                        after = event.id
                        yield event.data
            except (ServiceUnreachable, ServiceFailed) as error:
                deadline = self.polling.end_of_outage() if deadline is None else deadline
                if self.polling.gives_up(error, deadline):
                    raise
            self.polling.pause()

    def _next(self, number: int) -> RunLog | None:
        """The log of the attempt after that one, once it begins; None where the run is over without."""
        while True:
            run = self.polling.through_outages(lambda: self.client.get_run(self.run_id))
            if run.attempt > number:
                return views.RunLog(attempt=number + 1, text="", end=0)
            if run.is_final:
                return None
            self.polling.pause()
