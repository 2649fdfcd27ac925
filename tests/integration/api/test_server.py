"""The API as a process of its own: `python -m api`."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.api_process import client, environment_of, migrate, refusal, serving
from tests.support.store import SPEC


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(database_url, tmp_path)


@pytest.fixture
def sqlite_environment(sqlite_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(sqlite_url, tmp_path)


def test_it_refuses_a_database_without_tables_and_says_what_to_do(sqlite_environment: dict[str, str]) -> None:
    assert "python -m store.migrate" in refusal(sqlite_environment)


def test_it_refuses_a_database_that_does_not_answer(sqlite_environment: dict[str, str]) -> None:
    dead = {**sqlite_environment, "GANCLINIC_DATABASE_URL": "postgresql://me@/db?host=/nowhere"}
    assert "does not answer" in refusal(dead)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"GANCLINIC_STORE_URL": "s3://bucket"}, "store_url: a bucket needs a key"),
        ({"GANCLINIC_HEARTBEAT_INTERVAL": "29"}, "lease_duration: 30 s is too short for a heartbeat every 29 s"),
        ({"GANCLINIC_PORT": "x"}, "port: Input should be a valid integer"),
        ({"GANCLINIC_ALLOWED_HOSTS": "https://clinic.example"}, "allowed_hosts"),
    ],
)
def test_it_names_settings_that_do_not_do(
    sqlite_environment: dict[str, str], setting: dict[str, str], words: str
) -> None:
    assert words in refusal({**sqlite_environment, **setting})


@pytest.mark.timeout(300)  # starts two servers one after the other, on machines that may be busy
def test_runs_outlive_a_killed_server_and_one_key_makes_one_run(environment: dict[str, str], tmp_path: Path) -> None:
    migrate(environment)
    with serving(environment, tmp_path / "api.log") as process, client(environment) as http:
        headers = {"Idempotency-Key": "one"}
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: http.post("/v1/runs", json={"spec": SPEC}, headers=headers), range(20)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        process.kill()
        process.wait()
    with serving(environment, tmp_path / "again.log") as process, client(environment) as http:
        assert [run["id"] for run in http.get("/v1/runs").json()["items"]] == [answers[0].json()["id"]]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in {0, -signal.SIGTERM}
