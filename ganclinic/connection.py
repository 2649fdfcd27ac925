"""The connection to one service, which every verb uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import httpx

from ganclinic.answers import Answers
from ganclinic.config import ConfigSources, find_service
from ganclinic.polling import Polling
from ganclinic.transport import Transport

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    pass


class Connection:
    """A connection to one service; usable as a context manager."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without `url`, of the service that the configuration names (see `ganclinic.config`), with its token.

        `transport`, `sleep` and `clock` are for tests.

        Raises:
            ServiceNotFound: no `url`, and the configuration names none.
        """
        if url is None:
            address = find_service(ConfigSources.real(), token=token)
            url, token = address.url, address.token
        self._transport = Transport(url, token, transport, sleep)
        self._answers = Answers(self._transport)
        self._polling = Polling(sleep, clock)

    @classmethod
    def here(cls) -> Self:
        """The same as `Client()`.

        Raises:
            ServiceNotFound: the configuration names none.
        """
        return cls()

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._transport.url

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes its connections."""
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._transport.close()
