"""The API as a process of its own: `python -m api`."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import httpx

from store.core.db import make_engine, upgrade
from tests.support.images import CHECKOUT
from tests.support.processes import free_port, running

COMMAND = [sys.executable, "-m", "api"]


def environment_of(database_url: str, tmp_path: Path, **settings: str) -> dict[str, str]:
    """Of a service whose home is in `tmp_path`, without a broker."""
    return {
        "PATH": "/usr/bin:/bin",
        "GANCLINIC_HOME": str(tmp_path / "home"),
        "GANCLINIC_DATABASE_URL": database_url,
        "GANCLINIC_PORT": str(free_port()),
        "GANCLINIC_BROKER_URL": "redis+socket:///nowhere/at-all.sock",
        **settings,
    }


def refusal(environment: dict[str, str]) -> str:
    """What a service says that does not start."""
    done = subprocess.run(
        COMMAND, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def serving(environment: dict[str, str], log: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """The running service."""
    url = f"http://127.0.0.1:{environment['GANCLINIC_PORT']}/v1/health"

    def ready() -> bool:
        try:
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    return running(COMMAND, log=log, ready=ready, timeout_s=90, cwd=CHECKOUT, env=environment)


def token_of(environment: dict[str, str]) -> str:
    """The service's own token."""
    return Path(environment["GANCLINIC_HOME"], "token").read_text("ascii").strip()


def client(environment: dict[str, str]) -> httpx.Client:
    """A client with the service's own token."""
    url = f"http://127.0.0.1:{environment['GANCLINIC_PORT']}"
    headers = {"Authorization": f"Bearer {token_of(environment)}"}
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30)


def migrate(environment: dict[str, str]) -> None:
    """Brings the service's database to the newest revision."""
    engine = make_engine(environment["GANCLINIC_DATABASE_URL"])
    upgrade(engine)
    engine.dispose()
