"""A TCP proxy before a server, which can break its connections in the middle of what they carry."""

import contextlib
import socket
import threading
from collections.abc import Iterator

BLOCK_BYTES = 65_536


class Proxy:
    """Passes connections on to a port of the loopback address while it is up."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._bytes_left: int | None = None
        """How many bytes of requests still pass; None: any number."""
        self.refused = 0
        """Connections that found it down."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def is_down(self) -> bool:
        """Whether nothing passes."""
        return self._bytes_left == 0

    def break_after(self, num_bytes: int) -> None:
        """Lets so many bytes of requests pass, then breaks every connection and refuses new ones."""
        with self._lock:
            self._bytes_left = num_bytes
        if num_bytes == 0:
            self._break()

    def mend(self) -> None:
        """Lets everything pass again."""
        with self._lock:
            self._bytes_left = None

    def close(self) -> None:
        """Ends it."""
        self._listener.close()
        self._break()

    def _break(self) -> None:
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                if self.is_down:
                    self.refused += 1
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target_port))
                with self._lock:
                    self._open |= {client, server}
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK_BYTES):
                passing = self._take(len(block)) if is_request else len(block)
                target.sendall(block[:passing])
                if passing < len(block):
                    self._break()
                    return
        for connection in (source, target):
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _take(self, wanted: int) -> int:
        with self._lock:
            if self._bytes_left is None:
                return wanted
            taken = min(wanted, self._bytes_left)
            self._bytes_left -= taken
            return taken


@contextlib.contextmanager
def proxy(target_port: int) -> Iterator[Proxy]:
    """A proxy that is up."""
    made = Proxy(target_port)
    try:
        yield made
    finally:
        made.close()
