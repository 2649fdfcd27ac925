"""Child processes that never outlive the test run, even when it is killed."""

import contextlib
import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
STOP_TIMEOUT_S = 10.0


class ProcessFailed(RuntimeError):
    """A server ended, or was not ready in time; the message ends with the last lines of its log."""

    def __init__(self, command: Sequence[str], reason: str, log: Path) -> None:
        tail = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-20:])
        super().__init__(f"{' '.join(command)}: {reason}\n{tail}")


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the child when the test run ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    ready: Callable[[], bool],
    timeout_s: float = 30.0,
    stop_signal: signal.Signals = signal.SIGTERM,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
    group: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server as a child process: yielded once `ready()` is true, stopped at the end.

    Raises:
        ProcessFailed: it ended before it was ready, or `timeout_s` passed.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            preexec_fn=die_with_parent,
        )
    try:
        _wait_until_ready(process, command, log, ready, timeout_s)
        yield process
    finally:
        stop(process, stop_signal)


def _wait_until_ready(
    process: subprocess.Popen[bytes], command: Sequence[str], log: Path, ready: Callable[[], bool], timeout_s: float
) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None:
            raise ProcessFailed(command, f"ended with exit status {process.returncode}", log)
        if time.monotonic() > deadline:
            raise ProcessFailed(command, f"not ready after {timeout_s:.0f} s", log)
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """Ends the process: politely, then by SIGKILL."""
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A TCP port on the loopback address that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children_of(process_id: int) -> list[int]:
    """The ids of the process's children; none where it is gone."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{process_id}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def command_line(process_id: int) -> bytes:
    """What the process runs, its words ended by zero bytes; empty where it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process_id}/cmdline").read_bytes()
    return b""


def trainings_of(worker_id: int) -> list[int]:
    """The ids of the worker's training processes, of all its children."""
    return [child for child in children_of(worker_id) if b"worker.attempt.training" in command_line(child)]
