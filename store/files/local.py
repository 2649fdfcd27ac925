"""Named files: one interface, and its implementation in a directory. `store.files.s3` is the other one.

Whoever sees a file sees all of it, also after a power cut. Names are relative paths of safe characters.
"""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from typing_extensions import override

from store.core.errors import DiskFull, FileDamaged, FileMissing

COPY_BYTES = 1024 * 1024
DOOMED, UNFINISHED = ".doomed-", ".tmp-"
PIECE = re.compile(rf"{re.escape(UNFINISHED)}[a-z0-9_]{{8}}|\.attempt-\d+-epoch-\d+\.safetensors\.part")
"""What killed writers leave, of stored files and of checkpoints that are written in their place."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a file cannot grow."""
NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file of a list."""

    name: str
    size: int
    """In bytes."""
    modified_at: float
    """When it was put last, in seconds since 1970, on the clock of whoever stores it."""


class Files(Protocol):
    """Named files that all hosts of the service share.

    Every method raises StoreUnavailable where the store does not answer, and those that write to this machine DiskFull.
    """

    def put(self, name: str, content: BinaryIO) -> None:
        """Stores all of an open file under that name, in place of what was there."""
        ...

    def publish(self, name: str) -> None:
        """Shows everybody the file that was written to `local_path(name)`."""
        ...

    def refresh(self, name: str) -> bool:
        """Whether the file is there; if so, it counts as put now, as far as `discard` can tell."""
        ...

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        ...

    def read(self, name: str) -> bytes:
        """What is in the file.

        Raises:
            FileMissing: there is none.
        """
        ...

    def fetch(self, name: str, sha256: str | None) -> Path:
        """Where the whole file lies on this machine, its content of that hash where one is given.

        Raises:
            FileMissing: there is none.
            FileDamaged: its content has another hash.
        """
        ...

    def local_path(self, name: str) -> Path:
        """Where the file lies, or would lie, on this machine."""
        ...

    def delete(self, name: str) -> None:
        """Deletes the file, where it is there."""
        ...

    def discard(self, name: str, before: float) -> bool:
        """Deletes the file unless it was put at or after `before`, in seconds since 1970; whether it did."""
        ...

    def entries(self, folder: str = "") -> Iterator[StoredFile]:
        """The files of a folder and of those in it, in no order; by default all."""
        ...

    def sweep(self, before: float, spared: Collection[str] = (), ours: re.Pattern[str] = NAME) -> None:
        """Clears this machine of what is no file: what killed writers left, and copies of what was deleted elsewhere.

        Leaves alone what was written at or after `before` (seconds since 1970), the folders in `spared`, and what is
        not named as our files (`ours`) are.
        """
        ...


@contextmanager
def room_in(directory: Path | None) -> Iterator[None]:
    """Tells a full disk from other failures; `directory`: where is written, None where that may be anywhere.

    Raises:
        DiskFull: something could not be written for want of room. It names the directory where that is known.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(_directory_of(error) or directory, os.strerror(error.errno)) from None
        raise


def _directory_of(error: OSError) -> Path | None:
    """Where the file lies that the system's error names; a write to an open file names none."""
    is_path = isinstance(error.filename, str | bytes | os.PathLike)
    return Path(os.fsdecode(error.filename)).absolute().parent if is_path else None


class LocalFiles(Files):
    """Files in a directory of this machine, or of a file system that all hosts mount."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @override
    def put(self, name: str, content: BinaryIO) -> None:
        with replacing(self.local_path(name)) as file:
            shutil.copyfileobj(content, file, COPY_BYTES)

    @override
    def publish(self, name: str) -> None:
        """Nothing: it is where everybody looks."""

    @override
    def refresh(self, name: str) -> bool:
        try:
            os.utime(self.local_path(name))
        except FileNotFoundError:
            return False
        return True

    @override
    def has(self, name: str) -> bool:
        return self.local_path(name).exists()

    @override
    def read(self, name: str) -> bytes:
        try:
            return self.local_path(name).read_bytes()
        except FileNotFoundError:
            raise FileMissing(name) from None

    @override
    def fetch(self, name: str, sha256: str | None) -> Path:
        path = self.local_path(name)
        if not path.exists():
            raise FileMissing(name)
        try:
            if sha256 is not None and hash_of_file(path) != sha256:
                raise FileDamaged(name)
        except FileNotFoundError:  # deleted meanwhile
            raise FileMissing(name) from None
        return path

    @override
    def local_path(self, name: str) -> Path:
        if NAME.fullmatch(name) is None:
            raise FileMissing(name)
        return self._root / name

    @override
    def delete(self, name: str) -> None:
        delete_with_folder(self.local_path(name), self._root)

    @override
    def discard(self, name: str, before: float) -> bool:
        path = self.local_path(name)
        doomed = path.with_name(f"{DOOMED}{path.name}")
        try:
            # A writer that comes after this finds nothing and writes anew; of one that came before, the time tells.
            path.rename(doomed)
        except FileNotFoundError:
            return False
        if doomed.stat().st_mtime >= before:
            doomed.rename(path)
            return False
        delete_with_folder(doomed, self._root)
        return True

    @override
    def entries(self, folder: str = "") -> Iterator[StoredFile]:
        for path in _paths_in(self._root / folder):
            name = path.relative_to(self._root).as_posix()
            with suppress(FileNotFoundError):  # deleted meanwhile
                if NAME.fullmatch(name) and path.is_file():
                    found = path.stat()
                    yield StoredFile(name=name, size=found.st_size, modified_at=found.st_mtime)

    @override
    def sweep(self, before: float, spared: Collection[str] = (), ours: re.Pattern[str] = NAME) -> None:
        for path in _paths_in(self._root):
            with suppress(FileNotFoundError):
                whole = path.with_name(path.name.removeprefix(DOOMED))
                is_doomed = whole != path and ours.fullmatch(whole.relative_to(self._root).as_posix()) is not None
                if not is_doomed and PIECE.fullmatch(path.name) is None:
                    continue
                if path.parent.name in spared or path.stat().st_mtime >= before:
                    continue
                if is_doomed and not whole.exists():
                    path.rename(whole)  # its discarding broke off
                else:
                    delete_with_folder(path, self._root)


def _paths_in(folder: Path) -> Iterator[Path]:
    """Of all files in it and in its folders, each of which may vanish meanwhile."""
    for directory, _, names in os.walk(folder):  # rglob raises where a folder vanishes
        yield from (Path(directory, name) for name in names)


def hash_file(content: BinaryIO) -> str:
    """SHA-256 of all of an open file, which is read to its end; 64 hex digits."""
    content.seek(0)
    digest = hashlib.sha256()
    while block := content.read(COPY_BYTES):
        digest.update(block)
    return digest.hexdigest()


def hash_of_file(path: Path) -> str:
    """SHA-256 of a file; 64 hex digits."""
    with path.open("rb") as file:
        return hash_file(file)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` once all of it is on the disk, and vanishes if that fails.

    Raises:
        DiskFull: there is no room for it.
    """
    with room_in(path.parent):
        descriptor, temporary = _open_temporary(path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


def _open_temporary(folder: Path) -> tuple[int, Path]:
    """A new file in the folder, which is made where it is missing."""
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # whoever deleted its last file deleted the folder, too
            descriptor, name = tempfile.mkstemp(dir=folder, prefix=UNFINISHED)
            return descriptor, Path(name)


def delete_with_folder(path: Path, root: Path) -> None:
    """Deletes the file, where it is there, and its folder under `root` where that is empty now."""
    path.unlink(missing_ok=True)
    if path.parent != root:
        with suppress(OSError):  # not empty, or gone already
            path.parent.rmdir()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # or the new name may be lost with the power
    finally:
        os.close(descriptor)
