"""The state directory of a service that `ganclinic up` runs: who holds it, and where its API is."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ganclinic.config import LOCK, running_service
from ganclinic.errors import AlreadyRunning, StartFailed

TRIES, TRY_AGAIN_S = 10, 0.02


@contextlib.contextmanager
def hold(home: Path) -> Iterator[None]:
    """Makes the directory (mode 0700) and keeps every other `ganclinic up` away from it.

    Raises:
        AlreadyRunning: another one holds it.
        StartFailed: it cannot be made or written to.
    """
    make_home(home)
    try:
        lock = (home / LOCK).open("a")
    except OSError as error:
        raise _unusable(home, error) from None
    with lock:
        if not _take(lock):
            running = running_service(home)
            raise AlreadyRunning(home, running.url if running else None)
        withdraw(home)
        try:
            yield
        finally:
            withdraw(home)


def _take(lock: IO[str]) -> bool:
    """Whether the lock is ours now; the kernel lets go of it however we end."""
    for _ in range(TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(TRY_AGAIN_S)  # a client that looks whether we run has it for microseconds
    return False


def make_home(home: Path) -> None:
    """Makes the directory, with mode 0700, and its folder for logs.

    Raises:
        StartFailed: it cannot be made.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise _unusable(home, error) from None


def _unusable(home: Path, error: OSError) -> StartFailed:
    return StartFailed(f"The state directory {home} cannot be used: {error}. Choose another with GANCLINIC_HOME.")


def announce(home: Path, url: str) -> None:
    """Tells clients that the service answers at `url`."""
    draft = home / "service.json.new"
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n", "utf-8")
    draft.replace(home / "service.json")


def withdraw(home: Path) -> None:
    """Takes the announcement back."""
    (home / "service.json").unlink(missing_ok=True)


def log_file(home: Path, name: str) -> Path:
    """A fresh log file; that of the last start is kept beside it as `.log.1`."""
    file = home / "logs" / f"{name}.log"
    if file.exists():
        file.replace(file.with_suffix(".log.1"))
    return file


def last_lines(file: Path, count: int = 15) -> str:
    """The end of a log file, indented."""
    try:
        lines = file.read_text("utf-8", errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return ""
    return "\n".join(f"  {line}" for line in lines)
