"""Files named by the hash of their content."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from store.core.errors import ArtifactNotFound, FileMissing
from store.files.local import Files, LocalFiles, StoredFile, hash_file

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifact:
    """A file that is stored."""

    sha256: str
    """64 hex digits."""
    size: int
    """In bytes."""
    media_type: str


class Artifacts:
    """Artifacts among files that are shared, as `ab/cdef…`."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def put(self, content: bytes, media_type: str) -> StoredArtifact:
        """Stores the content, safe when this returns; the same content is stored once."""
        return self.put_file(io.BytesIO(content), media_type)

    def put_file(self, content: BinaryIO, media_type: str) -> StoredArtifact:
        """Stores all of an open file, however large, as `put` does."""
        sha256, size = hash_file(content), content.tell()
        if not self._files.refresh(_name(sha256)):
            content.seek(0)
            self._files.put(_name(sha256), content)
        return StoredArtifact(sha256=sha256, size=size, media_type=media_type)

    def get(self, sha256: str) -> bytes:
        """The content of that hash.

        Raises:
            ArtifactNotFound: there is none.
        """
        try:
            return self._files.read(_name(sha256))
        except FileMissing:
            raise ArtifactNotFound(sha256) from None

    def fetch(self, sha256: str) -> Path:
        """Where the content of that hash lies on this machine, brought here where it has to be.

        Raises:
            ArtifactNotFound: there is none.
        """
        try:
            return self._files.fetch(_name(sha256), sha256)
        except FileMissing:
            raise ArtifactNotFound(sha256) from None

    def has(self, sha256: str) -> bool:
        """Whether the content of that hash is stored."""
        return self._files.has(_name(sha256))

    def path(self, sha256: str) -> Path:
        """Where the content of that hash is, or would be, on this machine.

        Raises:
            ArtifactNotFound: it is not a hash, so there never is.
        """
        return self._files.local_path(_name(sha256))

    def delete(self, sha256: str) -> None:
        """Deletes the content of that hash, where it is stored."""
        self._files.delete(_name(sha256))

    def discard(self, sha256: str, before: float) -> bool:
        """Deletes the content of that hash unless it was put at or after `before` (seconds since 1970); whether so."""
        return self._files.discard(_name(sha256), before)

    def entries(self) -> Iterator[StoredFile]:
        """All artifacts, each with its hash as the name."""
        for entry in self._files.entries():
            sha256 = hash_of(entry.name)
            if SHA256.fullmatch(sha256):
                yield replace(entry, name=sha256)


class LocalArtifacts(Artifacts):
    """Artifacts in a directory: `root/ab/cdef…`."""

    def __init__(self, root: Path) -> None:
        super().__init__(LocalFiles(root))


def _name(sha256: str) -> str:
    if SHA256.fullmatch(sha256) is None:
        raise ArtifactNotFound(sha256)
    return f"{sha256[:2]}/{sha256[2:]}"


def hash_of(name: str) -> str:
    """The hash that the file of that name is for."""
    return name.replace("/", "", 1)
