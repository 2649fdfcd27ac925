"""How late an event comes: from the commit that stores it to each client that listens.

    make bench-events   # three minutes; writes bench/results/events.json

A real API process on SQLite and on PostgreSQL, and real sockets. One writer commits a change of a run's status every
0.2 s; the clients, all in this process, listen to all runs and note when each event has come, on the same clock.
"""

import asyncio
import contextlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from sqlalchemy import Engine

from bench import results
from store.core.db import make_engine, transaction, upgrade
from store.runs import events, lifecycle
from tests.support.servers import postgres
from tests.support.store import create_run
from tests.support.worker import Clinic

CLIENTS = (1, 50, 500)
EVENTS = 100
INTERVAL_S = 0.2
TARGET_MS = 250.0
"""That 95 % of events are to come within, with 500 clients on two cores."""
NUMBER = re.compile(rb"^id: (\d+)\r?\nevent:", re.MULTILINE)


@contextlib.contextmanager
def database(kind: str, home: Path) -> Iterator[str]:
    """URL of an empty database, `sqlite` or `postgresql`."""
    if kind == "sqlite":
        yield f"sqlite:///{home / 'ganclinic.db'}"
        return
    with postgres() as server, server.database() as url:
        yield url


def measure(kind: str) -> list[dict[str, Any]]:
    """Milliseconds from commit to client, by the number of clients."""
    with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
        engine = make_engine(url)
        upgrade(engine)
        clinic = Clinic(home=Path(folder), engine=engine, database_url=url)
        with clinic.api() as (process, client):
            found = [_measure(client, engine, process.pid, number) for number in CLIENTS]
        engine.dispose()
    return found


def _measure(client: httpx.Client, engine: Engine, pid: int, clients: int) -> dict[str, Any]:
    with transaction(engine) as session:
        run_id = create_run(session).id
    committed: dict[int, float] = {}
    is_heard = threading.Event()
    writer = threading.Thread(target=_write, args=(engine, run_id, committed, is_heard))
    writer.start()
    spent, started = cpu_s(pid), time.perf_counter()
    heard = asyncio.run(_listen(client, clients, is_heard))
    writer.join()
    seconds = time.perf_counter() - started
    delays = [1e3 * (at - committed[number]) for number, at in heard if number in committed]
    half, most, last = np.quantile(delays, [0.5, 0.95, 1.0])
    return {
        "clients": clients,
        "events_expected": clients * EVENTS,
        "events_come": len(delays),
        "p50_ms": round(float(half), 1),
        "p95_ms": round(float(most), 1),
        "max_ms": round(float(last), 1),
        "api_cores": round((cpu_s(pid) - spent) / seconds, 2),
    }


def cpu_s(pid: int) -> float:
    """Processor time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _write(engine: Engine, run_id: str, committed: dict[int, float], is_heard: threading.Event) -> None:
    is_heard.wait()
    for _ in range(EVENTS):
        with transaction(engine) as session:
            events.note_status(session, lifecycle.get_locked(session, run_id))
            number = events.last_position(session)
        committed[number] = time.perf_counter()
        time.sleep(INTERVAL_S)


async def _listen(client: httpx.Client, clients: int, is_heard: threading.Event) -> list[tuple[int, float]]:
    """The id of each event that came to a client, and when."""
    heard: list[tuple[int, float]] = []
    address = urlsplit(str(client.base_url))
    request = (
        f"GET {address.path.rstrip('/')}/events HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: {client.headers['Authorization']}\r\n\r\n"
    ).encode()
    ready = [asyncio.Event() for _ in range(clients)]

    async def follow(number: int) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(request)
        count, rest = 0, b""
        while count < EVENTS:
            part = await reader.read(65536)
            now = time.perf_counter()
            assert part, "the connection was closed"
            rest += part
            if b"\nid: " in rest:  # where it begins: it listens
                ready[number].set()
            *whole, rest = rest.split(b"\n\n")
            for found in NUMBER.finditer(b"\n\n".join(whole)):
                heard.append((int(found[1]), now))
                count += 1
        writer.close()

    async with asyncio.timeout(EVENTS * INTERVAL_S + 60):
        tasks = [asyncio.create_task(follow(number)) for number in range(clients)]
        for each in ready:
            await each.wait()
        is_heard.set()
        await asyncio.gather(*tasks)
    return heard


def main() -> None:
    """Measure and write."""
    load = os.getloadavg()[0]
    found = {kind: measure(kind) for kind in ("sqlite", "postgresql")}
    for kind, rows in found.items():
        for row in rows:
            print(kind, row)
    print(results.write("events", {"load_before": round(load, 1), "target_p95_ms": TARGET_MS, **found}))


if __name__ == "__main__":
    main()
