"""Waits for servers that do not answer: the database, and the store of files."""

import logging
import re
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO, TypeVar

from typing_extensions import override

from store.core.errors import DatabaseUnavailable, StoreUnavailable
from store.files.local import NAME, Files, StoredFile
from worker.attempt.channel import Channel
from worker.messages import Working

LONGEST_PAUSE_S = 8
SAY_SO_INTERVAL_S = 2.0  # a fraction of the silence, and of the time to obey, that a worker allows

logger = logging.getLogger(__name__)
T = TypeVar("T")


def retry_until_answered(action: Callable[[], T], before_a_pause: Callable[[], None] = lambda: None) -> T:
    """What `action` returns once the server that it needs answers."""
    pause_s = 1
    while True:
        try:
            return action()
        except (DatabaseUnavailable, StoreUnavailable) as error:
            logger.warning("%s; trying again in %d s", error, pause_s)
            before_a_pause()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class RetryingFiles(Files):
    """Files whose store may be slow, or away for a while. The worker hears that the process waits: that is no stall.

    Every method raises Stopped where the worker says so meanwhile, and otherwise what that of `files` raises.
    """

    def __init__(self, files: Files, channel: Channel) -> None:
        self._files, self._channel = files, channel

    @override
    def put(self, name: str, content: BinaryIO) -> None:
        def put() -> None:
            content.seek(0)
            self._files.put(name, content)

        self._wait(put)

    @override
    def publish(self, name: str) -> None:
        self._wait(lambda: self._files.publish(name))

    @override
    def refresh(self, name: str) -> bool:
        return self._wait(lambda: self._files.refresh(name))

    @override
    def has(self, name: str) -> bool:
        return self._wait(lambda: self._files.has(name))

    @override
    def read(self, name: str) -> bytes:
        return self._wait(lambda: self._files.read(name))

    @override
    def fetch(self, name: str, sha256: str | None) -> Path:
        return self._wait(lambda: self._files.fetch(name, sha256))

    @override
    def local_path(self, name: str) -> Path:
        return self._files.local_path(name)

    @override
    def delete(self, name: str) -> None:
        self._wait(lambda: self._files.delete(name))

    @override
    def discard(self, name: str, before: float) -> bool:
        return self._wait(lambda: self._files.discard(name, before))

    @override
    def entries(self, folder: str = "") -> Iterator[StoredFile]:
        return iter(self._wait(lambda: list(self._files.entries(folder))))

    @override
    def sweep(self, before: float, spared: Collection[str] = (), ours: re.Pattern[str] = NAME) -> None:
        self._wait(lambda: self._files.sweep(before, spared, ours))

    def _wait(self, action: Callable[[], T]) -> T:
        return retry_until_answered(lambda: self._watch(action), self._say_so)

    def _watch(self, action: Callable[[], T]) -> T:
        """What `action` returns. A thread does it: one that takes long is heard of, and can be left."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="files")
        done = thread.submit(action)
        thread.shutdown(wait=False)
        while not wait([done], SAY_SO_INTERVAL_S).done:
            self._say_so()
        return done.result()

    def _say_so(self) -> None:
        self._channel.obey()
        self._channel.tell(Working(on="waiting for the store of files"))
