"""A log that grows, judged again as rows come. Private to `ganclinic diagnose --follow`."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

LOOK_INTERVAL_S = 2.0
CHUNK_BYTES = 65_536
State = tuple[tuple[str, int, int], ...]
"""Path, size and time of the last change of each file."""


def changes(
    paths: Sequence[Path],
    *,
    idle_s: float | None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Once at the beginning, and whenever a file has changed; ends where none did for `idle_s` seconds."""
    seen = _state(paths)
    since = clock()
    yield
    while idle_s is None or clock() - since < idle_s:
        sleep(LOOK_INTERVAL_S if idle_s is None else min(LOOK_INTERVAL_S, idle_s))
        found = _state(paths)
        if found != seen:
            seen, since = found, clock()
            yield


def _state(paths: Sequence[Path]) -> State:
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    found: list[tuple[str, int, int]] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:  # not there yet, or no more
            continue
        found.append((str(file), status.st_size, status.st_mtime_ns))
    return tuple(found)


def growing(stream: BinaryIO, *, clock: Callable[[], float] = time.monotonic) -> Iterator[bytes]:
    """All that a pipe has given so far, at most once in each interval, and at its end."""
    held, last = b"", clock() - LOOK_INTERVAL_S
    while chunk := os.read(stream.fileno(), CHUNK_BYTES):
        held += chunk
        if clock() - last >= LOOK_INTERVAL_S:
            last = clock()
            yield held[: held.rfind(b"\n") + 1]
    yield held
