"""A server process: started, watched, started again when it dies, stopped in good order."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
LONG_LIFE_S = 60.0  # who lived this long is not failing at its start: the pauses begin anew
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What to run, and how long it may take to stop."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    grace_s: float


class Child:
    """A server as a child process in a session of its own: Ctrl-C reaches only us, and we stop it in good order."""

    def __init__(self, server: Server, clock: Callable[[], float]) -> None:
        self.server = server
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._start_again_at: float | None = None

    def start(self) -> None:
        """Starts the process; its output is added to the log."""
        with self.server.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.server.command),
                env=dict(self.server.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self._started_at = self._clock()
        self._start_again_at = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def revive(self) -> str | None:
        """Starts a dead process again once its pause is over; says so in words for the person who watches, or None."""
        if self._process is None or self.is_running:
            return None
        status = self._process.returncode
        now = self._clock()
        if self._start_again_at is None:
            if now - self._started_at >= LONG_LIFE_S:
                self._pause_s = FIRST_PAUSE_S
            self._start_again_at = now + self._pause_s
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
            name, log = self.server.name, self.server.log
            return f"{name} ended ({_in_words(status)}); starting it again in {pause_s:g} s. Its log: {log}"
        if now >= self._start_again_at:
            self.start()
        return None

    def wait(self) -> None:
        """Waits until the process has ended; returns at once where none was started."""
        if self._process is not None:
            self._process.wait()

    def ask_to_stop(self) -> None:
        """Sends SIGTERM to the process."""
        if self._process is not None and self.is_running:
            self._process.terminate()

    def kill(self) -> None:
        """Sends SIGKILL to the process, where it still runs, and to what it started in its session."""
        if self._process is not None and self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self.wait()


def end_with_parent() -> None:
    """Has the kernel stop this process when its parent is killed (Linux only; elsewhere it is ended by hand)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _in_words(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
