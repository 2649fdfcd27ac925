"""How fast a worker without GPUs multiplies in bf16: measured once, beside everything else, when it starts."""

import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from store.core.settings import child_environment
from worker.host.gpu_allocator import GpuAllocator

MEASURE = (sys.executable, "-m", "worker.attempt.precision")

logger = logging.getLogger(__name__)


class Bf16Speedup:
    """Measures in a process of its own, and tells the worker's allocator, some seconds after the start."""

    def __init__(self, allocator: GpuAllocator, command: Sequence[str] = MEASURE) -> None:
        self._allocator, self._command = allocator, command
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._measure, name="bf16", daemon=True)

    def start(self) -> None:
        """Starts the process and returns; nothing where the worker trains on GPUs."""
        if self._allocator.gpus:
            return
        with suppress(OSError):  # e.g. too many processes
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=child_environment(),
                text=True,
            )
            self._thread.start()

    def stop(self) -> None:
        """Kills the process, where it has not finished."""
        if self._process is not None:
            self._process.kill()
            self._thread.join()

    def _measure(self) -> None:
        assert self._process is not None, "started with it"
        answer, _ = self._process.communicate()
        try:
            speedup = float(answer)
        except ValueError:  # each training that needs it measures it then
            return
        self._allocator.bf16_speedup = speedup
        logger.info("multiplies %.2f times as fast in bf16 as in float32", speedup)
