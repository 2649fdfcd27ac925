"""Fixtures for all tests: real PostgreSQL and Valkey servers, started once a session and only when a test asks."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers


def pytest_configure() -> None:
    """The tests say every setting themselves: those of the person who runs them are forgotten."""
    for name in [name for name in os.environ if name.startswith("GANCLINIC_")]:
        del os.environ[name]
    # Networks this small train five times faster on one thread than on two that wait for each other on a busy machine.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for processes and leases, and compute nothing meanwhile."""
    return (os.cpu_count() or 1) + 1


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` skip themselves where there is no GPU."""
    if item.get_closest_marker("gpu") is not None:
        import torch  # importing it takes seconds, and most test runs need none

        if not torch.cuda.is_available():
            pytest.skip("no GPU here")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    """One PostgreSQL for the whole session."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def broker_server() -> Iterator[servers.BrokerServer]:
    """One Valkey for the whole session."""
    with servers.broker() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[servers.S3Server]:
    """One S3 for the whole session."""
    with servers.s3() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: servers.PostgresServer) -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'ganclinic.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh, empty database, once of each kind."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def broker_url(broker_server: servers.BrokerServer) -> str:
    """URL of a broker that holds nothing yet."""
    broker_server.flush()
    return broker_server.url
