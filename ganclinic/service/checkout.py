"""Finds the servers' code: they run from a checkout, and are started by their commands, never imported."""

from importlib.util import find_spec
from pathlib import Path

import ganclinic
from ganclinic.errors import StartFailed

SERVERS = ("api", "store", "worker")
NEEDED = {"fastapi": "server", "celery": "server", "sqlalchemy": "server", "torch": "train"}
"""Packages that the servers import, and the extra that brings them."""


def find_checkout(cwd: Path) -> Path:
    """The folder that holds `api`, `store` and `worker`: around this package, else `cwd`.

    Raises:
        StartFailed: neither holds them.
    """
    for folder in (Path(ganclinic.__file__).resolve().parents[1], cwd):
        if all((folder / name / "__init__.py").is_file() for name in SERVERS):
            return folder
    raise StartFailed(
        "The service runs from its source, which is not here: the installed package holds only the client. "
        "Clone the repository and run `ganclinic up` in it, or use a service elsewhere with --url."
    )


def require_packages() -> None:
    """Checks, without importing them, that the packages of the servers are installed.

    Raises:
        StartFailed: some are missing; the message says how to install them.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        extras = ",".join(sorted({NEEDED[name] for name in missing}))
        raise StartFailed(
            f"The service needs {', '.join(missing)}: run `pip install -e '.[{extras}]'` in the checkout."
        )
