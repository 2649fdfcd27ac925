"""The API behind a real socket, in a thread of this process: streams of events never end by themselves."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from tests.support.api import TOKEN, Service


@contextlib.contextmanager
def served(service: Service, port: int = 0) -> Iterator[str]:
    """Its address, `http://127.0.0.1:…`; 0: any free port."""
    config = uvicorn.Config(service.app, host="127.0.0.1", port=port, log_config=None, lifespan="off")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def wait_until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Returns as soon as it holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A server-sent event, or what has no data: a comment, an id, a time to retry after."""

    id: str | None
    event: str | None
    data: dict[str, Any] | None
    text: str


def parse(block: str) -> Heard:
    """One block of a stream."""
    fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
    data = json.loads(fields["data"]) if "data" in fields else None
    return Heard(id=fields.get("id"), event=fields.get("event"), data=data, text=block)


class Listener:
    """A client of a stream, which reads in a thread of its own."""

    def __init__(self, url: str, *, after: int | None = None, query: str = "") -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", "Host": "testserver"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        self._client = httpx.Client(headers=headers, trust_env=False, timeout=60)
        self._url = url + query
        self.blocks: list[Heard] = []
        self.has_ended = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Listener":
        self._thread.start()
        wait_until(lambda: bool(self.blocks))
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self._client.close()

    def _read(self) -> None:
        with self._client.stream("GET", self._url) as answer:
            assert answer.status_code == 200, answer.read()
            rest = ""
            for text in answer.iter_text():
                rest += text
                *whole, rest = rest.split("\n\n")
                self.blocks += [parse(block) for block in whole]
                if self._closed.is_set():
                    return
            self.has_ended = True

    @property
    def events(self) -> list[Heard]:
        """Those with data."""
        return [block for block in self.blocks if block.data is not None]

    @property
    def ids(self) -> list[int]:
        """Of the events that have one."""
        return [int(event.id) for event in self.events if event.id is not None]
