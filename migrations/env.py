"""Alembic's environment: one transaction, on the connection it is given or on the settings' database."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from store.core.db import make_engine
from store.core.models import AnyText, Base
from store.core.settings import Settings, create_home


def run(connection: Connection) -> None:
    """Runs the command that Alembic was given."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite alters a table by copying it
        render_item=render_item,
        transactional_ddl=True,  # on SQLite too: store.core.db begins its transactions itself
    )
    with context.begin_transaction():
        context.run_migrations()


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """New revisions name the columns' SQL types, never our classes, which may change later."""
    return "sa.Text()" if kind == "type" and isinstance(item, AnyText) else False


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    settings = Settings()
    create_home(settings.home)
    with make_engine(settings.database).begin() as own:
        run(own)
