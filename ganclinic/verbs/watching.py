"""What trainers have kept of watched runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganclinic.connection import Connection

if TYPE_CHECKING:
    from ganclinic.watching.sync import Synced


class WatchVerbs(Connection):
    """What trainers have kept of watched runs."""

    def sync(self, folder: str | Path) -> list[Synced]:
        """Sends what `ganclinic.watch` has kept in a folder while the service was away; sent again, it is stored once.

        What came of each watched run in it, also where not all could be sent.

        Raises:
            InvalidInput: there is none.
        """
        from ganclinic.watching.sync import sync_all

        return list(sync_all(Path(folder), self._transport))
