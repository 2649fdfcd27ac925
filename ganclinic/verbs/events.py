"""What changes, as it changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ganclinic.connection import Connection
from ganclinic.event_following import EventFollower
from ganlib.wire.paths import EVENTS, batch_path, run_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import EventView
    from ganlib.wire.statuses import EventKind


class EventVerbs(Connection):
    """What changes, as it changes."""

    def events(
        self,
        run_id: str | None = None,
        *,
        batch: str | None = None,
        kinds: Sequence[EventKind] = (),
        after: int | None = None,
    ) -> Iterator[EventView]:
        """What changes in a run, in the runs of a batch or in all runs, each once, until you stop asking for the next.

        A run's and a batch's begin with the first, those of all runs with what comes now; with `after`, behind the
        event of that id. `kinds` chooses; of all runs, `progress` comes only where it is chosen. Where the connection
        breaks, it goes on with what came meanwhile; outages of up to a minute are waited out.

        Raises:
            NotFound: there is no such run or batch, or it was deleted.
        """
        path = EVENTS
        if run_id is not None:
            path = f"{run_path(run_id)}/events"
        elif batch is not None:
            path = f"{batch_path(batch)}/events"
        query = {"kind": list(kinds) or None}
        follower = EventFollower(path=path, query=query, transport=self._transport, polling=self._polling)
        return follower.follow(after)
