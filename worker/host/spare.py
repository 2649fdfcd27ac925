"""A training process in reserve: it has imported what a training needs, which takes seconds, and waits for a ticket.

It is the process that would be started for the ticket, a little earlier: with the same command and environment, a group
of its own, no CUDA and nothing of any run, and it trains one run. Its stdin ends with the worker, and so does it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from worker.host.process import Started

LEAST_MEMORY = 2 * 1024**3
"""Bytes that must be free for one to be kept: it takes a third of a GiB itself."""
CGROUP = Path("/sys/fs/cgroup")

logger = logging.getLogger(__name__)


class Spare:
    """At most one process in reserve, for all slots of a worker."""

    def __init__(
        self, command: Sequence[str], *, is_wanted: bool = True, free_memory: Callable[[], int | None] | None = None
    ) -> None:
        """`is_wanted`: whether there is ever one. `free_memory`: bytes, or None where nobody knows."""
        self._command, self._is_wanted = command, is_wanted
        self._free_memory = free_memory or free_memory_of_machine
        self._process: Started | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Starts one where there is none, and ends it where memory is scarce. For slots that have nothing to do."""
        with self._lock:
            if not self._is_wanted or self._is_over:
                return
            free = self._free_memory()
            if free is not None and free < LEAST_MEMORY:
                if self._process is not None:
                    logger.info("ends its spare training process: %d MiB of memory are free", free // 1024**2)
                self._end()
                return
            if self._process is not None and self._process.is_as_new():
                return
            self._end()
            with suppress(OSError):  # e.g. too many processes: the training itself will tell
                self._process = Started(self._command)

    def take(self) -> Started | None:
        """The one in reserve, which is the caller's now; None where there is none that is as good as a new one."""
        with self._lock:
            if self._process is not None and not self._process.is_as_new():
                self._end()
            taken, self._process = self._process, None
            return taken

    def stop(self) -> None:
        """Ends it, and starts no more."""
        with self._lock:
            self._is_over = True
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.discard()
            self._process = None


def free_memory_of_machine() -> int | None:
    """Bytes that a new process may take before others are pressed: of the machine, or of our control group."""
    found: list[int] = []
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # version 2; `max` is no number
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        cached = [
            line.split()[1] for line in (CGROUP / "memory.stat").read_text().splitlines() if "inactive_file" in line
        ]
        found.append(limit - used + sum(map(int, cached)))
    return min(found, default=None)
