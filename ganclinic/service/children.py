"""All server processes of one `ganclinic up`: started one after another, watched, stopped in the opposite order."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from ganclinic.errors import StartFailed
from ganclinic.service.child import Child, Server
from ganclinic.service.home import last_lines

START_TIMEOUT_S = 60.0
WATCH_INTERVAL_S = 0.2
STOP_INTERVAL_S = 0.05


class Stop:
    """Whether to stop, and whether at once: the first signal asks, the second insists."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.insisted = threading.Event()

    def __call__(self, *_: object) -> None:
        """Notes a signal: the first asks for a stop, each further one insists."""
        (self.insisted if self.asked.is_set() else self.asked).set()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator["Stop"]:
        """Listens for Ctrl-C, SIGTERM and a closed terminal."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.signal(number, self) for number in numbers]
        try:
            yield self
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


class Children:
    """The processes in stages: those of a stage start and stop together."""

    def __init__(self, say: Callable[[str], None], stop: Stop) -> None:
        self._say = say
        self._stop = stop
        self._stages: list[list[Child]] = []

    def start(self, *servers: Server) -> list[Child]:
        """Starts a stage of these servers; stages stop in the opposite order."""
        stage: list[Child] = []
        self._stages.append(stage)
        for server in servers:
            child = Child(server, time.monotonic)
            child.start()
            stage.append(child)
        return stage

    def start_and_wait(self, server: Server, is_ready: Callable[[], bool]) -> None:
        """Starts a stage of one server, and waits until it is ready or a stop is asked for.

        Raises:
            StartFailed: it ended, or is not ready in time; the message ends with the last lines of its log.
        """
        [child] = self.start(server)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._stop.asked.is_set() and not (child.is_running and is_ready()):
            if not child.is_running or time.monotonic() > deadline:
                reason = "is not ready in time" if child.is_running else "ended at its start"
                tail = last_lines(server.log)
                raise StartFailed(f"The {server.name} {reason}. The end of its log ({server.log}):\n{tail}")
            self._stop.asked.wait(STOP_INTERVAL_S)

    def watch(self) -> None:
        """Starts again what dies, until a stop is asked for."""
        while not self._stop.asked.wait(WATCH_INTERVAL_S):
            for child in [child for stage in self._stages for child in stage]:
                if (news := child.revive()) is not None:
                    self._say(news)

    def stop(self) -> None:
        """Stops the stages, the last one first; who does not end within its grace is killed."""
        for stage in reversed(self._stages):
            self._stop_together(stage)

    def _stop_together(self, stage: Sequence[Child]) -> None:
        for child in stage:
            child.ask_to_stop()
        asked_at = time.monotonic()
        for child in stage:
            deadline = asked_at + child.server.grace_s
            while child.is_running and time.monotonic() < deadline and not self._stop.insisted.wait(STOP_INTERVAL_S):
                pass
            child.kill()
