"""Looks that are repeated until something has changed or is over; outages are waited out. Private to the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from ganclinic.errors import OUTAGES, ServiceFailed, ServiceUnreachable, WaitTimeout

if TYPE_CHECKING:
    from ganclinic.views import ComparisonView, RunDetails, RunView

POLL_INTERVAL_S = 0.5
POLL_INTERVAL_PER_RUN_S = 0.02  # a look at 1,000 runs takes the service seconds: leave it the time to work
LONG_WAIT_S = 5.0  # an idle worker takes a queued run within a second or two
OUTAGE_S = 60.0  # a restarting API is back in seconds; a run goes on without it

Seen = TypeVar("Seen")
WhenWaiting = Callable[[Sequence["RunView"]], None]
"""Is given the queued runs that wait for long."""
Job = TypeVar("Job", "RunDetails", "ComparisonView")


class Polling:
    """When to look again, and for how long."""

    def __init__(self, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._sleep, self._clock = sleep, clock

    def pause(self) -> None:
        """Waits until it is time for the next look."""
        self._sleep(POLL_INTERVAL_S)

    def end_of_outage(self) -> float:
        """Until when an outage that begins now is waited out, on the clock of `is_over`."""
        return self._clock() + OUTAGE_S

    def is_over(self, deadline: float) -> bool:
        """Whether a time that `end_of_outage` gave has come."""
        return self._clock() >= deadline

    def gives_up(self, error: ServiceUnreachable | ServiceFailed, deadline: float) -> bool:
        """Whether the error is not waited out: the time has come, or it is a fault of the service's own, no outage."""
        has_fault = isinstance(error, ServiceFailed) and error.problem.status not in OUTAGES
        return has_fault or self.is_over(deadline)

    def until_final(self, look: Callable[[], Job], job_id: str, timeout_s: float | None) -> Job:
        """What is seen once it is over.

        Raises:
            WaitTimeout: `timeout_s` passed; the job goes on.
        """
        deadline = None if timeout_s is None else self._clock() + timeout_s
        while not (job := self.through_outages(look)).is_final:
            if deadline is not None and timeout_s is not None and self.is_over(deadline):
                raise WaitTimeout(job_id, job.status, timeout_s)
            self.pause()
        return job

    def changes(
        self,
        look: Callable[[], Seen],
        runs_of: Callable[[Seen], Sequence[RunView]],
        when_waiting: WhenWaiting | None = None,
    ) -> Iterator[Seen]:
        """What is seen each time it has changed, until all its runs are over.

        `when_waiting` is called once, where all that are not over have been queued for `LONG_WAIT_S`.
        """
        last: Seen | None = None
        is_long_at = self._clock() + LONG_WAIT_S
        while True:
            seen = self.through_outages(look)
            if seen != last:
                yield seen
            going_on = [run for run in runs_of(seen) if not run.is_final]
            if not going_on:
                return
            if any(run.status != "queued" for run in going_on):
                is_long_at = self._clock() + LONG_WAIT_S
            elif when_waiting is not None and self.is_over(is_long_at):
                when_waiting(going_on)
                when_waiting = None
            last = seen
            self._sleep(max(POLL_INTERVAL_S, POLL_INTERVAL_PER_RUN_S * len(going_on)))

    def through_outages(self, look: Callable[[], Seen]) -> Seen:
        """What is seen, once the service answers; a fault of its own is no outage."""
        deadline = self.end_of_outage()
        while True:
            try:
                return look()
            except (ServiceUnreachable, ServiceFailed) as error:
                if self.gives_up(error, deadline):
                    raise
                self.pause()
