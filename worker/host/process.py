"""A training process as its worker sees it: a command in a process group of its own, lines in and lines out."""

import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from subprocess import PIPE, Popen
from typing import IO, Any, Self

from store.core.settings import child_environment
from worker.host.attempt_log import AttemptLog, SharedLog
from worker.messages import Event, Ticket, parse_event

LAST_WORDS_S = 5.0
"""For which the output of a killed group is waited for: what was written is read within milliseconds."""
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_TOP_PAD_": str(64 * 1024**2),
}
"""Lets glibc keep what a training frees, for its next step: by default each large tensor is mapped anew, and the kernel
clears its pages, a tenth to a fifth of a step on the CPU. Settings of the worker's own environment prevail, and another
C library knows none of them."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event, and when it came."""

    event: Event
    at: float
    """Monotonic seconds, taken when the line was read: a worker that was busy meanwhile sees no silence."""


def _environment() -> dict[str, str]:
    # GPUs in the order in which the driver counts them, and the worker
    return KEEP_MEMORY | child_environment(CUDA_DEVICE_ORDER="PCI_BUS_ID")


class Started:
    """A process that waits for its ticket."""

    def __init__(self, command: Sequence[str]) -> None:
        self._environment = _environment()
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as stderr:
            self.stderr = os.fdopen(reading, "rb")
            try:
                self.process = Popen(
                    command,
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=stderr,
                    env=self._environment,
                    start_new_session=True,  # a group of its own, so that a signal reaches all of it and nothing else
                    encoding="utf-8",
                    errors="replace",
                )
            except BaseException:
                self.stderr.close()
                raise

    def is_as_new(self) -> bool:
        """Whether it still runs, in the environment that one would have that is started now."""
        return self.process.poll() is None and self._environment == _environment()

    def discard(self) -> None:
        """Ends it; for one that was given no ticket."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.stderr):
            _opened(pipe).close()


class TrainingProcess:
    """A running training process. Leaving the `with` block kills what is left of its group."""

    def __init__(
        self, command: Sequence[str], ticket: Ticket, log: AttemptLog | SharedLog, *, started: Started | None = None
    ) -> None:
        """Starts it, unless it is `started` already; its stderr is added to `log`."""
        started = started or Started(command)
        self._process, self._stderr = started.process, started.stderr
        self._logger = threading.Thread(target=self._copy, args=[log], name="log", daemon=True)
        self._logger.start()
        self._heard: SimpleQueue[Heard | None] = SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._listener.start()
        self._write(ticket.to_line())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def hear(self, timeout_s: float) -> list[Heard]:
        """What came since the last call; waits for an event or the end of the output, at most `timeout_s`."""
        items: list[Heard | None] = []
        with suppress(Empty):
            items.append(self._heard.get(timeout=timeout_s))
            while True:
                items.append(self._heard.get_nowait())
        return [item for item in items if item is not None]

    def send(self, command: str) -> None:
        """Tells the process a command of `worker.messages`; one that has ended hears nothing."""
        self._write(command + "\n")

    def signal(self, number: signal.Signals) -> None:
        """Signals the whole group."""
        # Only `kill` reaps the process. Until then its id cannot belong to anybody else, even when it has ended.
        if self._process.returncode is None:
            os.killpg(self._process.pid, number)

    def has_ended(self) -> bool:
        """Whether the process is over; does not reap it."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> int:
        """Kills what is left of the group; the exit status, as `Popen.returncode` has it.

        What has left the group, say a daemon that a library started, may hold the pipes for ever. Nobody waits for it:
        the threads that read them close them whenever they end.
        """
        self.signal(signal.SIGKILL)
        status = self._process.wait()
        deadline = time.monotonic() + LAST_WORDS_S
        for reader in (self._listener, self._logger):
            reader.join(max(0.0, deadline - time.monotonic()))
            if reader.is_alive():
                logger.warning("what the training started still holds its %s; nobody waits for it", reader.name)
        with suppress(BrokenPipeError):  # a command that nobody read
            _opened(self._process.stdin).close()
        return status

    def _write(self, line: str) -> None:
        with suppress(BrokenPipeError):
            stdin = _opened(self._process.stdin)
            stdin.write(line)
            stdin.flush()

    def _copy(self, log: AttemptLog | SharedLog) -> None:
        with self._stderr as stderr:
            log.copy(stderr)

    def _listen(self) -> None:
        with _opened(self._process.stdout) as output:
            for line in output:
                event = parse_event(line)
                if event is not None:
                    self._heard.put(Heard(event=event, at=time.monotonic()))
        self._heard.put(None)


def _opened(pipe: IO[Any] | None) -> IO[Any]:
    assert pipe is not None, "Popen was given PIPE"
    return pipe
