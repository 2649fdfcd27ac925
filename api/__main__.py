"""`python -m api`: serves the API at the address of the settings."""

import sys

import uvicorn

from api.app import create_app
from store.db import make_engine, require_migrated
from store.errors import DatabaseNotMigrated, DatabaseUnavailable
from store.settings import Settings, create_home

SHUTDOWN_GRACE_S = 5


def main() -> int:
    """Serves until SIGINT or SIGTERM; exit status 1 where the database is not ready."""
    settings = Settings()
    create_home(settings.home)
    engine = make_engine(settings.database)
    try:
        require_migrated(engine)
    except (DatabaseNotMigrated, DatabaseUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    app = create_app(settings, engine)
    uvicorn.run(
        app, host=settings.host, port=settings.port, server_header=False, timeout_graceful_shutdown=SHUTDOWN_GRACE_S
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
