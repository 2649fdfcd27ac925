"""Something that a worker does now and then, beside its runs."""

import threading
from collections.abc import Callable


class Periodic:
    """Does it in a thread of its own, again and again, until it is stopped. What `do` raises ends the thread."""

    def __init__(
        self,
        name: str,
        do: Callable[[], object],
        interval_s: float,
        *,
        at_once: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """`interval_s`: before the first time, unless that is to be `at_once`, and after each.

        `wanted` is asked in the thread, before the first time; where it says no, nothing is ever done.
        """
        self._do, self._interval_s, self._at_once, self._wanted = do, interval_s, at_once, wanted
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """Begins it no more, and with `wait` returns once what goes on has ended; else that ends with the process."""
        self._stopped.set()
        if wait and self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        if not self._wanted():
            return
        if self._at_once:
            self._do()
        while not self._stopped.wait(self._interval_s):
            self._do()
