"""What a trainer sends, on disk before it is sent: a folder for each watched run.

    run.json        what the run is to be, and its id once the service has made it
    messages        every message, one after the other; only ever added to
    real.npy        the real samples, until the service has them
    epoch-7.npy     samples of an epoch, until the service has them

A message is written when it is half a second old. The operating system has it then, whatever becomes of the trainer;
it is on the disk itself (fsync) with each epoch and at the end, so that a power cut costs the epoch begun, at most.
What a kill cuts off in the middle is left out when the file is read.
"""

import contextlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

MAGIC = b"GCM1"
HEAD = struct.Struct("<4sBQII")
"""Mark, kind, number, length of the content and its CRC-32."""
Kind = Literal["steps", "epoch", "end"]
KINDS: tuple[Kind, ...] = ("steps", "epoch", "end")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledRun:
    """What a run is to be."""

    name: str | None
    objective: str | None
    epochs: int | None
    key: str
    """Under which the service makes it once, however often it is asked."""
    url: str | None = None
    """Of the service."""
    run_id: str | None = None
    """Once the service has made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One message."""

    kind: Kind
    sequence: int
    """From 1, without a gap."""
    content: bytes
    """A block of steps, or JSON."""
    end: int
    """Where the next one begins in the file."""

    @property
    def said(self) -> dict[str, Any]:
        """The JSON of an epoch or an end."""
        return json.loads(self.content)


class Spool:
    """A watched run's folder. One thread may add messages while another one reads them."""

    def __init__(self, folder: Path, order: SpooledRun) -> None:
        self.folder, self.order = folder, order
        self._file: BinaryIO | None = None
        self._is_ours = False
        self._sequence = self._end = 0

    @classmethod
    def begin(cls, folder: Path, order: SpooledRun) -> "Spool":
        """A new folder.

        Raises:
            OSError: it cannot be made.
        """
        folder.mkdir(parents=True)
        spool = cls(folder, order)
        spool.save_order(order)
        spool._file = (folder / "messages").open("ab")
        spool._is_ours = True
        return spool

    @classmethod
    def at(cls, folder: Path) -> "Spool":
        """A folder that a trainer has left, to be read.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no such folder.
        """
        return cls(folder, SpooledRun(**json.loads((folder / "run.json").read_text("utf-8"))))

    def save_order(self, order: SpooledRun) -> None:
        """Keeps what the run is to be, or has become."""
        self.order = order
        with _replacing(self.folder / "run.json") as file:
            file.write(json.dumps(asdict(order)).encode())

    def made(self, run_id: str, url: str) -> None:
        """Keeps the id that the service has given."""
        self.save_order(replace(self.order, run_id=run_id, url=url))

    def add(self, kind: Kind, content: bytes, *, safe: bool = False) -> None:
        """Adds a message; `safe`: it is on the disk when this returns.

        Raises:
            OSError: there is no room, say; the file ends as before.
        """
        assert self._file is not None, "the folder was begun here"
        if self._file.closed:  # the last message did not fit, and could not be cut off either
            self._file = _cut(self._file, self.folder / "messages", self._end)
        sequence = self._sequence + 1
        head = HEAD.pack(MAGIC, KINDS.index(kind), sequence, len(content), zlib.crc32(content))
        try:
            self._file.write(head + content)
            self._file.flush()
            if safe:
                os.fsync(self._file.fileno())
        except OSError:
            self._file = _cut(self._file, self.folder / "messages", self._end)
            raise
        self._sequence = sequence
        self._end += len(head) + len(content)

    def records(self, start: int = 0) -> Iterator[Record]:
        """The messages from that place in the file on, as far as they are whole; none that are added meanwhile."""
        end = self._end if self._is_ours else sys.maxsize
        with (self.folder / "messages").open("rb") as file:
            file.seek(start)
            while (record := _read(file)) is not None:
                if record.end > end:
                    return
                yield record

    def samples_path(self, number: int) -> Path:
        """Where the samples of that epoch are kept."""
        return self.folder / f"epoch-{number}.npy"

    @property
    def real_path(self) -> Path:
        """Where the real samples are kept."""
        return self.folder / "real.npy"

    def save_samples(self, path: Path, samples: NDArray[Any]) -> None:
        """Keeps an array.

        Raises:
            OSError: there is no room, say.
        """
        with _replacing(path) as file:
            np.save(file, samples, allow_pickle=False)

    def close(self) -> None:
        """Adds nothing more."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _read(file: BinaryIO) -> Record | None:
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    magic: bytes
    kind: int
    magic, kind, sequence, length, crc = HEAD.unpack(head)
    content = file.read(length)
    if magic != MAGIC or kind >= len(KINDS) or len(content) < length or zlib.crc32(content) != crc:
        return None
    return Record(kind=KINDS[kind], sequence=sequence, content=content, end=file.tell())


def _cut(file: BinaryIO, path: Path, length: int) -> BinaryIO:
    """The file, opened anew, without what was written of a message that did not fit."""
    with contextlib.suppress(OSError):  # the same want of room
        file.close()
    os.truncate(path, length)
    return path.open("ab")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes that place once it is whole; nothing stays of one that did not fit."""
    temporary = path.with_suffix(".part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
