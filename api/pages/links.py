"""Links that begin one session: `ganclinic open` makes them on the machine itself.

A link holds a random key; a file in the state directory, which only its owner enters, is named by the key's hash. Who
can write there can read the service's token as well, so the session is that of the token. The file is taken away by
whoever opens the link, and the file system lets one of two take it.
"""

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

LIFE = timedelta(minutes=2)


def take(folder: Path, key: str, now: float) -> bool:
    """Whether the link is good; it is not a second time. `now`: seconds since 1970."""
    file = folder / sha256(key.encode()).hexdigest()
    try:
        made_at = file.stat().st_mtime
        file.unlink()
    except FileNotFoundError:
        return False
    return abs(now - made_at) <= LIFE.total_seconds()
