"""The log of one attempt: what its training process writes to stderr, kept in a file and in the database.

The file is for who looks at the worker's machine, and is rotated; the newest part goes to the database, where the API
reads it, wherever the worker runs.
"""

import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader, FileIO
from pathlib import Path

from sqlalchemy import Engine

from store.core.db import transaction
from store.core.errors import DatabaseUnavailable, RunNotFound
from store.runs import logs
from store.runs.logs import KEPT_BYTES, readable

FILE_BYTES = 4 * 1024**2  # before a file is rotated: an attempt has at most two, `<run>.<attempt>.log` and `….log.1`
FILE_AGE_S = 30 * 24 * 3600.0  # after which a file is deleted
ATTEMPT_FILE = re.compile(r"[0-9a-f]{16}\.\d+\.log(\.1)?")
READ_BYTES = 65_536
TAIL_BYTES = 16_384  # searched for the last lines

logger = logging.getLogger(__name__)


class AttemptLog:
    """Keeps what it is given. `write` may be called from another thread than the rest."""

    def __init__(self, directory: Path, run_id: str, attempt: int, *, engine: Engine | None = None) -> None:
        """`engine`: where it is stored; without one it is in the file alone."""
        self.path = directory / f"{run_id}.{attempt}.log"
        self._run_id, self._attempt, self._engine = run_id, attempt, engine
        self._is_failing = False
        self._file: FileIO | None = None
        """Unbuffered, so that no byte is left to fail when it is closed; None where it could not be opened."""
        with self._harmless():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _delete_old(directory)
            self._file = self.path.open("wb", buffering=0)
        self._lock = threading.Lock()
        self._is_closed = False
        self._size = 0
        """Bytes in the file."""
        self._end = 0
        """Bytes so far."""
        self._pending = bytearray()
        """What the database does not have yet; ends at `_end`."""
        self._tail = bytearray()

    def copy(self, source: BufferedReader) -> None:
        """Writes everything that comes from a pipe, until its end."""
        while content := source.read1(READ_BYTES):
            self.write(content)

    def write(self, content: bytes) -> None:
        """Adds to the log; nothing once it is closed."""
        with self._lock:
            if self._is_closed:
                return
            self._write_file(content)
            self._end += len(content)
            self._pending = (self._pending + content)[-KEPT_BYTES:]
            self._tail = (self._tail + content)[-TAIL_BYTES:]

    def _write_file(self, content: bytes) -> None:
        with self._harmless():
            if self._file is None or (self._size and self._size + len(content) > FILE_BYTES):
                self._begin_file()
            while content and self._file is not None:
                written = self._file.write(content)
                self._size += written
                content = content[written:]

    def _begin_file(self) -> None:
        """Goes on in an empty file; where the full one cannot be put away, in that."""
        file, self._file = self._file, None
        if file is not None:
            with self._harmless():
                file.close()
                self.path.replace(self.path.with_suffix(".log.1"))
        self._file, self._size = self.path.open("ab", buffering=0), 0

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """A full disk must end neither the training that logs nor its worker: the database has the log, too."""
        try:
            yield
        except OSError as error:
            if not self._is_failing:  # once, for the worker's own log may lie on the same disk
                logger.warning("the log file %s cannot be written or rotated: %s", self.path, error)
            self._is_failing = True
        else:
            self._is_failing = False

    def store(self) -> bool:
        """Brings the database up to date; False where it does not answer, and a later call may."""
        with self._lock:
            content, end = bytes(self._pending), self._end
        if self._engine is None or not content:
            return True
        try:
            with transaction(self._engine) as session:
                logs.append(session, self._run_id, self._attempt, end - len(content), content)
        except DatabaseUnavailable as error:
            logger.warning("the log is not stored yet: %s", error)
            return False
        except RunNotFound:  # it is over, and was deleted at once
            self._engine = None
            return True
        with self._lock:
            unstored = min(len(self._pending), self._end - end)
            self._pending = self._pending[len(self._pending) - unstored :]
        return True

    def tail(self, lines: int) -> str:
        """The last lines, fit for a terminal."""
        with self._lock:
            content = bytes(self._tail)
        return "\n".join(readable(content).splitlines()[-lines:])

    def close(self) -> None:
        """Closes the file."""
        with self._lock, suppress(OSError):
            self._is_closed = True
            if self._file is not None:
                self._file.close()


class SharedLog:
    """The logs of runs that one process trains: what it writes is in each of them."""

    def __init__(self, logs: Mapping[str, AttemptLog]) -> None:
        """By run."""
        self._logs = dict(logs)

    def copy(self, source: BufferedReader) -> None:
        """Writes everything that comes from a pipe, until its end."""
        while content := source.read1(READ_BYTES):
            for log in list(self._logs.values()):
                log.write(content)

    def leave(self, run_id: str) -> None:
        """Brings the log of a run that is trained no longer up to date, and adds nothing more to it."""
        if len(self._logs) > 1:
            log = self._logs.pop(run_id)
            log.store()
            log.close()

    def store(self) -> bool:
        """Brings the database up to date; False where it does not answer, and a later call may."""
        stored = [log.store() for log in self._logs.values()]
        return all(stored)

    def tail(self, lines: int) -> str:
        """The last lines, fit for a terminal."""
        return next(iter(self._logs.values())).tail(lines)

    def close(self) -> None:
        """Closes the files."""
        for log in self._logs.values():
            log.close()


def _delete_old(directory: Path) -> None:
    """Deletes the files of attempts that have logged nothing for `FILE_AGE_S`."""
    before = time.time() - FILE_AGE_S
    for file in directory.iterdir():
        if ATTEMPT_FILE.fullmatch(file.name):
            with suppress(FileNotFoundError):  # another worker was faster
                if file.stat().st_mtime < before:
                    file.unlink()
