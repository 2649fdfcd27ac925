"""How long the server waits for a request: who sends a byte of its headers a second keeps no connection for ever.

Uvicorn closes a connection that is idle between two requests, and no other. A client without a token could thus hold as
many connections as the process may have files open.
"""

from asyncio import TimerHandle, Transport
from typing import cast

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

REQUEST_S = 10.0  # clients send all headers at once: this is for the network


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1, closed where for `patience_s` nothing is answered and no request begins.

    Its time runs from the connection's start, or the end of an answer, to the end of the next request's headers. A body
    has the time that its answer takes; what is left of one that was answered before it had come is no request.
    """

    patience_s = REQUEST_S
    _timer: TimerHandle | None = None

    @override
    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._look()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """An answer has been sent."""
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        is_served = cycle is not None and not cycle.response_complete
        if is_served or self.transport.is_closing():
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.patience_s, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
