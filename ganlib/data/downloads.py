"""How long a download may keep a run waiting."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def network_timeout(seconds: float) -> Iterator[None]:
    """Connections opened inside wait this long for an answer, then raise TimeoutError."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
