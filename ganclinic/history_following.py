"""A log that grows, judged again as rows come. Private to `ganclinic diagnose --follow`.

A look reads the whole log: what a row means may depend on rows far before it. So that a long log does not keep a core
busy, the next look waits LOOKING times as long as the last one took.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

LOOK_INTERVAL_S = 2.0
LOOKING = 9
"""Times that a look took: a tenth of a core at the most."""
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
    seen: State | None = None
    since = clock()
    pause_s = 0.0
    while seen is None or idle_s is None or clock() - since < idle_s:
        if seen is not None:
            sleep(pause_s if idle_s is None else min(pause_s, idle_s))
        found = _state(paths)
        if found != seen:
            seen, since = found, clock()
            yield
            pause_s = _pause_s(clock() - since)


def _pause_s(look_s: float) -> float:
    """How long to wait after a look that took so long."""
    return max(LOOK_INTERVAL_S, LOOKING * look_s)


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


def growing(
    stream: BinaryIO, *, idle_s: float | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[bytes]:
    """All whole lines that a pipe has given so far, and all at its end, or where nothing has come for `idle_s` seconds.

    Each line is seen soon after it came, whether or not others follow it.
    """
    chunks = _chunks(stream)
    held, shown = bytearray(), 0
    came, next_look = clock(), clock()
    while True:
        waits = [next_look - clock()] if _whole(held) > shown else []
        waits += [came + idle_s - clock()] if idle_s is not None else []
        try:
            chunk = chunks.get(timeout=max(0.0, min(waits))) if waits else chunks.get()
        except queue.Empty:
            chunk = None
        if chunk is not None:
            held += chunk
            came = clock()
        is_over = chunk == b"" or (idle_s is not None and clock() - came >= idle_s)
        if not is_over and _whole(held) > shown and clock() >= next_look:
            shown = _whole(held)
            began = clock()
            yield bytes(held[:shown])
            next_look = clock() + _pause_s(clock() - began)
        if is_over:
            yield bytes(held)
            return


def _whole(held: bytearray) -> int:
    """Bytes up to the end of the last whole line; a bar ends its lines with a return."""
    return max(held.rfind(b"\n"), held.rfind(b"\r")) + 1


def _chunks(stream: BinaryIO) -> "queue.Queue[bytes]":
    """What the pipe gives as it comes, an empty chunk at its end.

    By a thread: what waits for a pipe cannot be told to stop after a while on every system.
    """
    chunks: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        chunk = b"?"
        while chunk:
            try:
                chunk = os.read(stream.fileno(), CHUNK_BYTES)
            except (OSError, ValueError):  # closed meanwhile
                chunk = b""
            chunks.put(chunk)

    threading.Thread(target=read, name="pipe", daemon=True).start()
    return chunks
