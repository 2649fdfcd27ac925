"""Fixtures for tests against a real database. Migrated databases are made once a session and emptied between tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from store.core.db import make_engine, upgrade
from store.core.models import Base
from tests.support.api import Service, make_service
from tests.support.servers import PostgresServer


@contextmanager
def disposing(url: str) -> Iterator[Engine]:
    """An engine that leaves no connection behind."""
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "ganclinic.db"
    with disposing(f"sqlite:///{path}") as engine:
        upgrade(engine)
    return path


@pytest.fixture(scope="session")
def migrated_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a PostgreSQL database with all tables."""
    with postgres_server.database() as url:
        with disposing(url) as engine:
            upgrade(engine)
        yield url


@pytest.fixture
def sqlite_engine(migrated_sqlite_file: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine on a SQLite database of this test's own, with all tables, empty."""
    path = shutil.copy(migrated_sqlite_file, tmp_path / "ganclinic.db")
    with disposing(f"sqlite:///{path}") as engine:
        yield engine


@pytest.fixture
def postgres_engine(migrated_postgres_url: str) -> Iterator[Engine]:
    """An engine on the session's PostgreSQL database, with all tables, empty."""
    with disposing(migrated_postgres_url) as engine:
        with engine.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(delete(table))
        yield engine


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine on a database with all tables, empty; once of each kind."""
    return request.getfixturevalue("sqlite_engine" if request.param == "sqlite" else "postgres_engine")


@pytest.fixture
def service(engine: Engine, tmp_path: Path) -> Service:
    """The API on an empty database, once of each kind."""
    return make_service(engine, tmp_path)


@pytest.fixture
def sqlite_service(sqlite_engine: Engine, tmp_path: Path) -> Service:
    """The API on an empty SQLite database, for promises that no database can break."""
    return make_service(sqlite_engine, tmp_path)
