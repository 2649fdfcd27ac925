"""Arrays that are computed once for the same input and shared by all processes of a machine.

Files are named by the hash of what went in, written whole, and hold arrays alone: nothing is unpickled.
"""

import fcntl
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
VERSION = 1
"""Raise it when a computation behind any cached array changes."""


class Cache:
    """A directory of arrays, or None: then nothing is kept."""

    def __init__(self, root: Path | None) -> None:
        self._root = root

    @property
    def keeps(self) -> bool:
        """Whether anything is kept."""
        return self._root is not None

    def arrays(self, kind: str, parts: Sequence[object], make: Callable[[], Arrays]) -> Arrays:
        """What `make` gives for these parts (arrays, numbers, text), from the file where there is one.

        Of several processes that ask at once one computes, and the others wait for it.
        """
        if self._root is None:
            return make()
        path = self._root / f"{kind}-{content_key(*parts)}.npz"
        found = _read(path)
        if found is None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _exclusive(path.with_suffix(".lock")):
                found = _read(path)  # another process may have been quicker
                if found is None:
                    found = make()
                    _write(path, found)
        return found


def content_key(*parts: object) -> str:
    """SHA-256 of arrays, numbers and text, 64 hex digits; an array counts with its type and shape."""
    digest = hashlib.sha256(f"{VERSION}".encode())
    for part in parts:
        if isinstance(part, np.ndarray):
            array = np.ascontiguousarray(cast("NDArray[Any]", part))
            digest.update(f"|{array.dtype.str}{array.shape}|".encode())
            digest.update(array.data)
        else:
            digest.update(f"|{part!r}|".encode())
    return digest.hexdigest()


def _read(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        return None
    except (ValueError, OSError, zipfile.BadZipFile):  # damaged, say by a full disk: make it anew
        return None


def _write(path: Path, arrays: Arrays) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]  (its stub takes `allow_pickle` for an array)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, also by a process that was killed
        yield
