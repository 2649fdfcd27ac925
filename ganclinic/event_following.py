"""Events, followed through broken connections: what came meanwhile is sent first. Private to the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ganclinic import views
from ganclinic.errors import ServiceFailed, ServiceUnreachable, UnexpectedAnswer
from ganclinic.polling import Polling
from ganclinic.transport import Query, Transport
from ganlib.wire.reading import read

if TYPE_CHECKING:
    from ganclinic.views import EventView


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFollower:
    """Follows one stream of events."""

    path: str
    query: Query
    transport: Transport
    polling: Polling

    def follow(self, after: int | None) -> Iterator[EventView]:
        """Each event once, see `Client.events`."""
        deadline = None
        while True:
            try:
                with self.transport.events(self.path, self.query, after=after) as events:
                    deadline = None
                    for event in events:
                        after = after if event.id is None else event.id
                        if event.kind:
                            yield self._view(event.data)
            except (ServiceUnreachable, ServiceFailed) as error:
                deadline = self.polling.end_of_outage() if deadline is None else deadline
                if self.polling.gives_up(error, deadline):
                    raise
            self.polling.pause()

    def _view(self, data: str) -> EventView:
        try:
            return read(views.EventView, json.loads(data))
        except (ValueError, ValidationError):
            raise UnexpectedAnswer(self.transport.url, "an event that is none") from None
