"""`python -m store.migrate`: brings the database of the settings to the newest revision."""

import sys

from store.core.db import current_revision, make_engine, upgrade
from store.core.errors import DatabaseTooNew, DatabaseUnavailable
from store.core.settings import Settings, create_home


def main() -> int:
    """Exit status 0 when the database is at the newest revision, 1 when it cannot be brought there."""
    settings = Settings()
    create_home(settings.home)
    engine = make_engine(settings.database)
    try:
        upgrade(engine)
        sys.stdout.write(f"database at revision {current_revision(engine)}\n")
    except (DatabaseTooNew, DatabaseUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
