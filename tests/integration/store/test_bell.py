import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu.common import Broadcast
from kombu.connection import Connection
from kombu.message import Message
from kombu.messaging import Consumer

from store.core.settings import Settings
from store.operations.bell import ring
from store.operations.broker import EXCHANGE, RINGERS, ROUTING_KEY, TASK
from tests.support.servers import BrokerServer


@pytest.fixture
def silent_broker(tmp_path: Path) -> Iterator[str]:
    """URL of a broker that takes connections and never says a word."""
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(20 * RINGERS)  # enough for every try: none is ever accepted
        yield f"redis+socket://{path}"


def timed_ring(broker_url: str) -> tuple[bool, float]:
    started_at = time.perf_counter()
    rang = ring(Settings(broker_url=broker_url))
    return rang, time.perf_counter() - started_at


def test_every_listener_hears_the_bell(broker_url: str) -> None:
    heard: list[str] = []

    def hear(_body: Any, message: Message) -> None:
        heard.append(message.headers["task"])

    connections = Connection(broker_url), Connection(broker_url)
    with connections[0] as first, connections[1] as second, consumer(first, hear), consumer(second, hear):
        for connection in connections:
            listen(connection)  # the first time only subscribes
        assert ring(Settings(broker_url=broker_url))
        deadline = time.monotonic() + 10
        while len(heard) < 2 and time.monotonic() < deadline:
            for connection in connections:
                listen(connection)
    assert heard == [TASK, TASK]


def consumer(connection: Connection, hear: Callable[[Any, Message], None]) -> Consumer:
    queue = Broadcast(EXCHANGE.name, exchange=EXCHANGE, routing_key=ROUTING_KEY)
    return Consumer(connection, [queue], callbacks=[hear], no_ack=True)


def listen(connection: Connection) -> None:
    with suppress(TimeoutError):
        connection.drain_events(timeout=0.1)


def test_a_bell_that_nobody_hears_is_not_kept(broker_url: str, broker_server: BrokerServer) -> None:
    assert ring(Settings(broker_url=broker_url))
    with redis.Redis(unix_socket_path=str(broker_server.socket)) as client:
        assert client.keys("*") == []


@pytest.mark.parametrize("url", ["redis+socket:///nowhere/broker.sock", "redis://127.0.0.1:1/0"])
def test_without_a_broker_ringing_says_so_at_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    rang, seconds = timed_ring(url)
    assert not rang
    assert seconds < 1
    assert "workers will poll" in caplog.text


def test_a_broker_that_is_silent_delays_nobody_for_longer_than_a_second(silent_broker: str) -> None:
    callers = 2 * RINGERS

    def ring_together() -> float:
        with ThreadPoolExecutor(callers) as pool:
            rings = list(pool.map(timed_ring, [silent_broker] * callers))
        assert not any(rang for rang, _ in rings)
        return max(seconds for _, seconds in rings)

    # Up to three times, for a machine that has other things to do.
    assert any(ring_together() < 1 for _ in range(3))
