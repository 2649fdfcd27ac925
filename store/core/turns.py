"""Turns that the processes of one machine take from each other: as many at once as there are files in a folder.

A turn is a lock of the kernel on one of them, so that a process that is killed gives back what it held.
"""

import fcntl
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from io import FileIO
from pathlib import Path

LOOK_INTERVAL_S = 0.005  # a transaction takes some milliseconds
PATIENCE = timedelta(seconds=30)


class NoTurn(TimeoutError):
    """All turns were taken for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one process has until it ends it, or dies."""

    lock: FileIO
    lasts: bool
    """Whether it may be kept while it is not needed; where not, others wait for it."""

    def end(self) -> None:
        """Gives it back."""
        self.lock.close()


class Turns:
    """So many lasting and brief turns, for all processes that name the same folder."""

    def __init__(self, folder: Path, *, lasting: int, brief: int, patience: timedelta = PATIENCE) -> None:
        """`brief`: at least one."""
        self._folder, self._lasting, self._count = folder, lasting, lasting + brief
        self._patience = patience

    def take(self) -> Turn:
        """A lasting turn where one is left, else a brief one.

        Raises:
            NoTurn: none became free in time.
        """
        deadline = time.monotonic() + self._patience.total_seconds()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            for number in range(self._count):
                lock = _locked(self._folder / str(number))
                if lock is not None:
                    return Turn(lock=lock, lasts=number < self._lasting)
            if time.monotonic() > deadline:
                raise NoTurn(f"all {self._count} turns in {self._folder} were taken for too long")
            time.sleep(LOOK_INTERVAL_S)


def _locked(path: Path) -> FileIO | None:
    """The file, locked by us alone; None where another has it."""
    file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except BaseException:
        file.close()
        raise
    return file
