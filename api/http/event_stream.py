"""Server-sent events as an answer: what is sent, and what becomes of a client that does not take it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from anyio import CancelScope
from fastapi.responses import StreamingResponse
from starlette.types import Message, Send
from typing_extensions import override

KEEP_ALIVE_S = 15.0
"""A proxy takes a longer silence for a broken connection."""
STUCK_S = 60.0
"""A client that takes nothing for so long is let go."""
EVENT_STREAM = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events until it has some kilobytes
}
STILL_HERE = b": still here\n\n"


def event_schema(data: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of one server-sent event, with that of its data."""
    text = {"type": "string"}
    return {"type": "object", "properties": {"id": text, "event": text, "data": data}, "required": ["data"]}


def retry_in(seconds: float) -> bytes:
    """Tells the client after how long to come again once the stream has ended."""
    return f"retry: {round(1000 * seconds)}\n\n".encode()


class EventStream(StreamingResponse):
    """Sends what the iterator gives; closes it when the client has gone, or takes nothing any more."""

    def __init__(self, content: AsyncGenerator[bytes]) -> None:
        super().__init__(content, media_type=EVENT_STREAM, headers=HEADERS)
        self._content = content
        self._sent = 0
        self._is_sending = False

    @override
    async def stream_response(self, send: Send) -> None:
        """As any answer that is streamed, with an eye on the clock: a timer for each message would cost as much."""

        async def send_noted(message: Message) -> None:
            self._is_sending = True
            await send(message)
            self._is_sending = False
            self._sent += 1

        with CancelScope() as scope:
            self._look_at(scope, -1)
            try:
                async with aclosing(self._content):
                    await super().stream_response(send_noted)
            finally:
                self._timer.cancel()
        # Where it was cancelled nothing more can be sent, not even an end: the server closes the connection.

    def _look_at(self, scope: CancelScope, sent_before: int) -> None:
        """Again and again; ends the stream where the same message is still being sent."""
        if self._is_sending and self._sent == sent_before:
            scope.cancel()
        elif not scope.cancel_called:
            self._timer = asyncio.get_running_loop().call_later(STUCK_S, self._look_at, scope, self._sent)
