"""How many clients may follow logs through one API process: real HTTP, and how late each line comes."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from sqlalchemy import Engine

from store.core.db import make_engine, transaction, upgrade
from store.runs import claims, endings, lifecycle, logs
from tests.support.store import LEASE, request
from tests.support.worker import Clinic

FOLLOWERS = (1, 10, 100, 500, 1000)
LINES = 8
LINE_INTERVAL_S = 2.0  # a worker stores what is new as often
LATEST_S = 30.0  # after the last line


def measure_streams(url: str, home: Path) -> list[dict[str, Any]]:
    """How late lines come, in seconds, by the number of clients that follow."""
    engine = make_engine(url)
    upgrade(engine)
    clinic = Clinic(home=home, engine=engine, database_url=url)
    with clinic.api() as (process, client):
        found = [_measure(client, engine, process.pid, number) for number in FOLLOWERS]
    engine.dispose()
    return found


def _measure(client: httpx.Client, engine: Engine, pid: int, number: int) -> dict[str, Any]:
    with transaction(engine) as session:
        wanted = request()
        lifecycle.create(session, wanted, wanted.resolve())
        claim = claims.claim(session, "worker-1", LEASE)
        assert claim is not None
    writer = threading.Thread(target=_write, args=(engine, claim))
    spent, started = _cpu_s(pid), time.perf_counter()
    writer.start()
    delays = asyncio.run(_follow_all(client, claim.run_id, number))
    writer.join()
    seconds = time.perf_counter() - started
    with transaction(engine) as session:
        endings.finish(session, claim.run_id, claim.token, "failed", error="over")
    return {
        "clients": number,
        "lines_expected": number * LINES,
        "lines_come": len(delays),
        "delay_s": {
            name: round(float(np.quantile(delays, q)), 2) if delays else None
            for name, q in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        },
        "api_cores": round((_cpu_s(pid) - spent) / seconds, 2),
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _write(engine: Engine, claim: claims.Claim) -> None:
    """A line every two seconds that says when it was stored."""
    time.sleep(3)  # until all follow
    start = 0
    for number in range(LINES):
        line = f"line {number} {time.time():.3f}\n".encode()
        with transaction(engine) as session:
            logs.append(session, claim.run_id, claim.attempt, start, line)
        start += len(line)
        time.sleep(LINE_INTERVAL_S)


async def _follow_all(client: httpx.Client, run_id: str, number: int) -> list[float]:
    """How many seconds after each line was stored each client had it."""
    limits = httpx.Limits(max_connections=number)
    async with httpx.AsyncClient(
        base_url=client.base_url, headers=client.headers, limits=limits, timeout=60, trust_env=False
    ) as http:
        until = LINES * LINE_INTERVAL_S + LATEST_S
        found = await asyncio.gather(*(_follow(http, run_id, until) for _ in range(number)))
    return [delay for delays in found for delay in delays]


async def _follow(http: httpx.AsyncClient, run_id: str, seconds: float) -> list[float]:
    delays: list[float] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for line in _lines(http, run_id):
                delays.append(time.time() - float(line.split()[-1]))
                if line.startswith(f"data: line {LINES - 1} "):
                    break
    return delays


async def _lines(http: httpx.AsyncClient, run_id: str) -> AsyncIterator[str]:
    async with http.stream("GET", f"/runs/{run_id}/log/stream") as answer:
        if not answer.is_success:
            return
        async for line in answer.aiter_lines():
            if line.startswith("data: line"):
                yield line
