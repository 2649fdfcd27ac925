"""Servers that are killed, and started again as a supervisor would."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.processes import children_of, die_with_parent
from tests.support.servers import Account

RESTART_S = 1.0  # as `ganclinic up` waits before it starts a dead server again


class Server:
    """A process that is started again whenever it has died. To be used in the main thread: see `die_with_parent`."""

    def __init__(
        self,
        command: Callable[[], Sequence[str]],
        *,
        log: Path,
        cwd: Path,
        environ: Mapping[str, str],
        account: Account | None = None,
    ) -> None:
        """`command` is asked for at each start; what the process writes is added to `log`."""
        self._command, self._log, self._cwd, self._environ = command, log, cwd, environ
        self._account = account or Account()
        self._process: subprocess.Popen[bytes] | None = None
        self._start_again_at = 0.0

    def start(self) -> None:
        """Starts the process."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._environ,
                user=self._account.user,
                group=self._account.group,
                extra_groups=None if self._account.user is None else [],
                preexec_fn=die_with_parent,
            )
        self._start_again_at = 0.0

    @property
    def pid(self) -> int:
        """Of the process that was last started."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def revive(self) -> None:
        """Starts it again, a while after it has died."""
        if self.is_running:
            return
        now = time.monotonic()
        if self._start_again_at == 0.0:
            self._start_again_at = now + RESTART_S
        elif now >= self._start_again_at:
            self.start()

    def kill(self) -> None:
        """SIGKILL to the process."""
        if self._process is not None and self.is_running:
            self._process.kill()
            self._process.wait()

    def kill_all(self) -> None:
        """SIGKILL to the process and to its children."""
        children = children_of(self.pid) if self.is_running else []
        self.kill()
        for child in children:
            send(signal.SIGKILL, child)

    def terminate(self) -> subprocess.Popen[bytes]:
        """SIGTERM to the process, which is nobody's server from now on."""
        assert self._process is not None
        process, self._process = self._process, None
        process.terminate()
        return process


def send(number: signal.Signals, *process_ids: int) -> None:
    """Signals those that are still there."""
    for process_id in process_ids:
        with suppress(ProcessLookupError):
            os.kill(process_id, number)
