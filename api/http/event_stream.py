"""Server-sent events as an answer: what is sent, and what becomes of a client that does not take it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import anyio
from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

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

    async def stream_response(self, send: Send) -> None:
        """As any answer that is streamed, with an eye on the clock."""

        async def send_in_time(message: Message) -> None:
            with anyio.fail_after(STUCK_S):
                await send(message)

        try:
            async with aclosing(self._content):
                await super().stream_response(send_in_time)
        except TimeoutError:  # nothing more can be sent, not even an end: the server closes the connection
            return
