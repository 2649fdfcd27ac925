"""Waits for servers that do not answer: the database, and the store of files."""

import logging
import re
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO, TypeVar

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


class RetryingFiles:
    """Files whose store may be slow, or away for a while. The worker hears that the process waits: that is no stall.

    Every method raises Stopped where the worker says so meanwhile, and otherwise what that of `files` raises.
    """

    def __init__(self, files: Files, channel: Channel) -> None:
        self._files, self._channel = files, channel

    def put(self, name: str, content: BinaryIO) -> None:
        """See `store.files.local.Files`."""

        def put() -> None:
            content.seek(0)
            self._files.put(name, content)

        self._wait(put)

    def publish(self, name: str) -> None:
        """See `store.files.local.Files`."""
        self._wait(lambda: self._files.publish(name))

    def refresh(self, name: str) -> bool:
        """See `store.files.local.Files`."""
        return self._wait(lambda: self._files.refresh(name))

    def has(self, name: str) -> bool:
        """See `store.files.local.Files`."""
        return self._wait(lambda: self._files.has(name))

    def read(self, name: str) -> bytes:
        """See `store.files.local.Files`."""
        return self._wait(lambda: self._files.read(name))

    def fetch(self, name: str, sha256: str | None) -> Path:
        """See `store.files.local.Files`."""
        return self._wait(lambda: self._files.fetch(name, sha256))

    def local_path(self, name: str) -> Path:
        """See `store.files.local.Files`."""
        return self._files.local_path(name)

    def delete(self, name: str) -> None:
        """See `store.files.local.Files`."""
        self._wait(lambda: self._files.delete(name))

    def discard(self, name: str, before: float) -> bool:
        """See `store.files.local.Files`."""
        return self._wait(lambda: self._files.discard(name, before))

    def entries(self, folder: str = "") -> Iterator[StoredFile]:
        """See `store.files.local.Files`."""
        return iter(self._wait(lambda: list(self._files.entries(folder))))

    def sweep(self, before: float, spared: Collection[str] = (), ours: re.Pattern[str] = NAME) -> None:
        """See `store.files.local.Files`."""
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
