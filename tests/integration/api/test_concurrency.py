"""Many requests at once to one API process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.worker import Clinic, clinic_at

AT_ONCE = 150  # beyond threads (40) and connections (40) together


@pytest.fixture
def clinic(database_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, database_url)


async def get_all(client: httpx.Client, path: str) -> list[int]:
    """The statuses of so many requests that are sent at once."""
    async with httpx.AsyncClient(
        base_url=client.base_url,
        headers=client.headers,
        timeout=25,  # a pool of connections gives up after 30
        limits=httpx.Limits(max_connections=AT_ONCE),
        trust_env=False,
    ) as http:
        answers = await asyncio.gather(*(http.get(path) for _ in range(AT_ONCE)))
    return [answer.status_code for answer in answers]


def test_more_requests_at_once_than_threads_and_connections_are_all_answered(clinic: Clinic) -> None:
    run_id = clinic.create_run()
    with clinic.api() as (_, client):
        for path in ("/runs", f"/runs/{run_id}/waiting"):
            assert asyncio.run(get_all(client, path)) == [200] * AT_ONCE
