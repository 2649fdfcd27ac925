"""How long a training process may be silent before it counts as stalled. Pure: the clock is passed in."""

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from worker.messages import Event, Stepped

PACE_WINDOW = 50  # reports of steps whose median is the pace: it follows a slower pace within half of that


@dataclass(frozen=True, slots=True, kw_only=True)
class StallLimits:
    """The settings that say how long is too long."""

    stall_factor: float
    """Times the median step time that steps may be silent."""
    stall_minimum: timedelta
    """Silence shorter than this is never a stall."""
    start_timeout: timedelta
    """Silence allowed while the process loads, evaluates or records, which have no pace."""


class StallDetector:
    """Hears one process's events and knows its pace."""

    def __init__(self, limits: StallLimits, now: float) -> None:
        """`now` and all later times: monotonic seconds."""
        self._limits = limits
        self._heard_at = now
        self._stepped: tuple[float, int] | None = None
        """Time and number of the latest step, while steps are made without a break."""
        self._step_times_s: deque[float] = deque(maxlen=PACE_WINDOW)

    def hear(self, event: Event, at: float) -> None:
        """Take note of an event that came at `at`."""
        self._heard_at = at
        if not isinstance(event, Stepped):
            self._stepped = None
            return
        if self._stepped is not None and event.step > self._stepped[1]:
            before, step = self._stepped
            self._step_times_s.append((at - before) / (event.step - step))
        self._stepped = (at, event.step)

    def limit_s(self) -> float:
        """Seconds of silence allowed now."""
        if self._stepped is None or not self._step_times_s:
            return self._limits.start_timeout.total_seconds()
        pace = self._limits.stall_factor * median(self._step_times_s)
        return max(pace, self._limits.stall_minimum.total_seconds())

    def lasts_s(self, now: float) -> float:
        """Seconds since the latest event."""
        return now - self._heard_at

    def is_stall(self, now: float) -> bool:
        """Whether the silence has lasted too long."""
        return self.lasts_s(now) > self.limit_s()
