"""The fixtures of the integration tests: a service on a database of its own."""

from tests.integration.conftest import (
    migrated_postgres_url,
    migrated_sqlite_file,
    service,
    sqlite_engine,
    sqlite_service,
)

__all__ = ["migrated_postgres_url", "migrated_sqlite_file", "service", "sqlite_engine", "sqlite_service"]
