"""The API as a process of its own: `python -m api`."""

import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from store.core.db import make_engine, upgrade
from tests.support.processes import running
from tests.support.store import SPEC

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "api"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment_of(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "GANCLINIC_HOME": str(tmp_path / "home"),
        "GANCLINIC_DATABASE_URL": database_url,
        "GANCLINIC_PORT": str(free_port()),
        "GANCLINIC_BROKER_URL": "redis+socket:///nowhere/at-all.sock",
    }


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(database_url, tmp_path)


@pytest.fixture
def sqlite_environment(sqlite_url: str, tmp_path: Path) -> dict[str, str]:
    return environment_of(sqlite_url, tmp_path)


def serving(environment: dict[str, str], log: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    url = f"http://127.0.0.1:{environment['GANCLINIC_PORT']}/v1/health"

    def ready() -> bool:
        try:
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    return running(COMMAND, log=log, ready=ready, timeout_s=90, cwd=ROOT, env=environment)


def client(environment: dict[str, str]) -> httpx.Client:
    token = Path(environment["GANCLINIC_HOME"], "token").read_text("ascii").strip()
    url = f"http://127.0.0.1:{environment['GANCLINIC_PORT']}"
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)


def migrate(environment: dict[str, str]) -> None:
    engine = make_engine(environment["GANCLINIC_DATABASE_URL"])
    upgrade(engine)
    engine.dispose()


def test_it_refuses_a_database_without_tables_and_says_what_to_do(sqlite_environment: dict[str, str]) -> None:
    done = subprocess.run(COMMAND, cwd=ROOT, env=sqlite_environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "python -m store.migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_refuses_a_database_that_does_not_answer(sqlite_environment: dict[str, str]) -> None:
    dead = {**sqlite_environment, "GANCLINIC_DATABASE_URL": "postgresql://me@/db?host=/nowhere"}
    done = subprocess.run(COMMAND, cwd=ROOT, env=dead, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"GANCLINIC_STORE_URL": "s3://bucket"}, "store_url: a bucket needs a key"),
        ({"GANCLINIC_HEARTBEAT_INTERVAL": "29"}, "lease_duration: 30 s is too short for a heartbeat every 29 s"),
        ({"GANCLINIC_PORT": "x"}, "port: Input should be a valid integer"),
    ],
)
def test_it_names_settings_that_do_not_do(
    sqlite_environment: dict[str, str], setting: dict[str, str], words: str
) -> None:
    environment = {**sqlite_environment, **setting}
    done = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


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
