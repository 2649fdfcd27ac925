"""`python -m api`: serves the API at the address of the settings."""

import sys

import uvicorn
from pydantic import ValidationError

from api.app import create_app
from api.http.patience import ImpatientProtocol
from store.core.db import make_engine, require_migrated
from store.core.errors import DatabaseNotMigrated, DatabaseUnavailable
from store.core.settings import Settings, create_home, describe_invalid, read_or_create_token
from store.operations.logging import configure_logging
from store.operations.tracing import configure_tracing
from store.scheduling.accounts import InvalidTokensFile

SHUTDOWN_GRACE_S = 5


def main() -> int:
    """Serves until SIGINT or SIGTERM; exit status 1 where the settings, the database or the tokens file are not fit."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"{describe_invalid(error)}\n")
        return 1
    create_home(settings.home)
    try:
        token = settings.token or read_or_create_token(settings.home)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    configure_logging(settings.log_format, secrets=(*settings.secrets, token.get_secret_value()))
    configure_tracing("ganclinic-api", settings)
    engine = make_engine(settings.database)
    try:
        require_migrated(engine)
    except (DatabaseNotMigrated, DatabaseUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        app = create_app(settings, engine)
    except InvalidTokensFile as error:
        sys.stderr.write(f"{error}\n")
        return 1
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http=ImpatientProtocol,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        log_config=None,  # its records go where all others go
        access_log=False,  # `api.http.tracking` logs each request, with its id
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
