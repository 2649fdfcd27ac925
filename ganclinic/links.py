"""Links that begin one session in a browser, for the service that `ganclinic up` runs from a state directory.

`api.pages.links` takes them. The link's key is random, and only its hash is written: into a folder that nobody else may
enter.
"""

import hashlib
import secrets
import time
from pathlib import Path

FOLDER = "links"
KEPT_FOR_S = 120.0


def make_link(home: Path) -> str:
    """The path of a link, below the service's URL, that is good once within two minutes."""
    folder = home / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    _forget_old(folder)
    key = secrets.token_hex(32)
    (folder / hashlib.sha256(key.encode()).hexdigest()).touch(mode=0o600, exist_ok=False)
    return f"/open/{key}"


def _forget_old(folder: Path) -> None:
    for file in folder.iterdir():
        try:
            if time.time() - file.stat().st_mtime > KEPT_FOR_S:
                file.unlink()
        except FileNotFoundError:  # somebody has just opened it
            continue
