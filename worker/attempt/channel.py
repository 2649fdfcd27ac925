"""The training process's end of the pipes to its worker."""

import logging
import os
import select
import sys
import threading
import time
from contextlib import suppress
from io import FileIO
from queue import Empty, SimpleQueue
from typing import Self

from worker.messages import Event, Stepped, Ticket, Working

STEP_INTERVAL_S = 0.2  # between reports of steps: smooth for an eye, and next to nothing in a pipe
PULSE_INTERVAL_S = 10.0  # a fraction of the silence that a worker allows
BUSY_SHARE = 0.1  # of a CPU: who computes uses at least one, who waits for a lock or a server uses next to nothing
ORPHANED = 75  # exit status of a process whose worker is gone: EX_TEMPFAIL of <sysexits.h>

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The worker told the training to end."""


class Channel:
    """Tells the worker what happens, and hears its commands."""

    def __init__(self, commands: int, events: int) -> None:
        """File descriptors to read commands from, and to write events to."""
        # Unbuffered: a thread that waits in a buffered file holds a lock that the interpreter needs to exit.
        self._commands = FileIO(commands, "rb", closefd=False)
        self._events = events
        self._writing = threading.Lock()
        self._command: str | None = None
        self._dropped: SimpleQueue[str] = SimpleQueue()
        """Runs of a stack without which it is to go on."""
        self._working: Working | None = None
        """What the process is at, where that is not to make steps."""
        self._reported_at = 0.0

    @classmethod
    def over_standard_streams(cls) -> Self:
        """Over stdin and stdout. What anybody prints from now on goes to stderr instead."""
        events = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return cls(sys.stdin.fileno(), events)

    def is_awaited(self) -> bool:
        """Whether the worker has said something, or is gone: a process in reserve hears nothing for a while."""
        return bool(select.select([self._commands], [], [], 0)[0])

    def read_ticket(self) -> Ticket:
        """The first line. From now on commands are heard, and the process ends with its worker."""
        line = self._commands.readline()
        if not line:
            os._exit(ORPHANED)
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        threading.Thread(target=self._pulse, name="pulse", daemon=True).start()
        return Ticket.model_validate_json(line)

    def tell(self, event: Event) -> None:
        """Tells the worker; without one, the process ends."""
        self._working = event if isinstance(event, Working) else None
        self._write(event)

    def _write(self, event: Event) -> None:
        line = event.to_line().encode()
        try:
            with self._writing:
                while line:
                    line = line[os.write(self._events, line) :]
        except BrokenPipeError:
            os._exit(ORPHANED)

    def step(self, step: int) -> None:
        """Reports a step, unless one was reported just now.

        Raises:
            Stopped: the worker said so.
        """
        self.obey()
        now = time.monotonic()
        if now - self._reported_at >= STEP_INTERVAL_S:
            self._reported_at = now
            self.tell(Stepped(step=step))

    def obey(self) -> None:
        """Returns unless there was a command.

        Raises:
            Stopped: there was.
        """
        if self._command is not None:
            raise Stopped(self._command)

    def dropped(self) -> list[str]:
        """Runs of a stack without which it is to go on from now on; each is told once."""
        found: list[str] = []
        with suppress(Empty):
            while True:
                found.append(self._dropped.get_nowait())
        return found

    def _pulse(self) -> None:
        """Repeats what the process is at for as long as it computes: an evaluation may take any time."""
        spent_s = time.process_time()
        while True:
            time.sleep(PULSE_INTERVAL_S)
            before_s, spent_s = spent_s, time.process_time()
            if self._working is not None and spent_s - before_s > BUSY_SHARE * PULSE_INTERVAL_S:
                self._write(self._working)

    def _listen(self) -> None:
        while line := self._commands.readline():
            command, _, run_id = line.decode().strip().partition(" ")
            if run_id:
                self._dropped.put(run_id)
            else:
                self._command = command
        # Nobody renews the lease any more. The transaction that may be open is rolled back, files appear whole or
        # not at all: there is nothing to tidy up, and no time for it.
        os._exit(ORPHANED)
