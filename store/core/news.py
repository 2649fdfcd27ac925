"""Waiting for news: until the database says that there are new events, or for so long that one may look."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from store.core.db import NEWS, POSTGRES_PATIENCE

if TYPE_CHECKING:
    from psycopg import AsyncConnection

LOOK_S = 0.1
"""How often SQLite is looked at, which tells nobody anything."""

logger = logging.getLogger(__name__)


class News:
    """PostgreSQL says when there are new events; of SQLite nothing is heard."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._speaks = engine.dialect.name == "postgresql"
        self._connection: AsyncConnection | None = None

    async def wait(self, longest_s: float) -> None:
        """Returns at the next news, or after so long; where nothing can be heard, so early that one may look."""
        if self._connection is None:
            await asyncio.sleep(min(longest_s, LOOK_S))
            await self.listen()
            return
        from psycopg import OperationalError

        try:
            async for _ in self._connection.notifies(timeout=longest_s, stop_after=1):
                pass
        except OperationalError as error:
            logger.warning("no longer told of new events, looks for them instead: %s", error)
            await self.close()

    async def listen(self) -> None:
        """Listens, if the database speaks; where it does not answer, the next wait tries again."""
        if not self._speaks:
            return
        from psycopg import AsyncConnection, OperationalError
        from psycopg.conninfo import make_conninfo

        parts = dict(self._engine.dialect.create_connect_args(self._engine.url)[1])
        parts.pop("context", None)  # SQLAlchemy's types of values
        conninfo = make_conninfo("", **{**POSTGRES_PATIENCE, **parts})
        try:
            self._connection = await AsyncConnection.connect(conninfo, autocommit=True)
            await self._connection.execute(f"LISTEN {NEWS}")
        except OperationalError:
            await self.close()

    async def close(self) -> None:
        """Stops listening."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@asynccontextmanager
async def news_of(engine: Engine) -> AsyncIterator[News]:
    """The news of that database; it listens from the beginning of the block to its end."""
    news = News(engine)
    await news.listen()
    try:
        yield news
    finally:
        await news.close()
