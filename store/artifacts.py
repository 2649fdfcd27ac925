"""Files named by the hash of their content, in a directory."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from store.errors import ArtifactNotFound

SHA256 = re.compile(r"[0-9a-f]{64}")
COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifact:
    """A file that is stored."""

    sha256: str
    """64 hex digits."""
    size: int
    """In bytes."""
    media_type: str


class LocalArtifacts:
    """Artifacts in a directory: `root/ab/cdef…`. Whoever sees a file sees all of it, also after a power cut."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, content: bytes, media_type: str) -> StoredArtifact:
        """Stores the content, on disk when this returns; the same content is stored once."""
        sha256 = hashlib.sha256(content).hexdigest()
        self._store(sha256, lambda file: file.write(content))
        return StoredArtifact(sha256=sha256, size=len(content), media_type=media_type)

    def put_file(self, content: BinaryIO, media_type: str) -> StoredArtifact:
        """Stores all of an open file, however large, as `put` does."""
        sha256, size = hash_file(content), content.tell()
        content.seek(0)
        self._store(sha256, lambda file: shutil.copyfileobj(content, file, COPY_BYTES))
        return StoredArtifact(sha256=sha256, size=size, media_type=media_type)

    def get(self, sha256: str) -> bytes:
        """The content of that hash.

        Raises:
            ArtifactNotFound: there is none.
        """
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise ArtifactNotFound(sha256) from None

    def path(self, sha256: str) -> Path:
        """Where the content of that hash is, or would be.

        Raises:
            ArtifactNotFound: it is not a hash, so there never is.
        """
        if SHA256.fullmatch(sha256) is None:
            raise ArtifactNotFound(sha256)
        return self._root / sha256[:2] / sha256[2:]

    def delete(self, sha256: str) -> None:
        """Deletes the content of that hash, where it is stored."""
        self.path(sha256).unlink(missing_ok=True)

    def _store(self, sha256: str, write: Callable[[BinaryIO], object]) -> None:
        path = self.path(sha256)
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_atomically(path, write)


def hash_file(content: BinaryIO) -> str:
    """SHA-256 of all of an open file, which is read to its end; 64 hex digits."""
    content.seek(0)
    digest = hashlib.sha256()
    while block := content.read(COPY_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # or the new name may be lost with the power
    finally:
        os.close(descriptor)
