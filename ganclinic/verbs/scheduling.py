"""What runs wait for, and the workers that train them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganclinic import views
from ganclinic.connection import Connection
from ganlib.wire.paths import WORKERS, drain_path, run_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import WaitingView, WorkerView


class SchedulingVerbs(Connection):
    """What runs wait for, and the workers that train them."""

    def why_waiting(self, run_id: str) -> WaitingView:
        """Why a run waits: what is claimed before it, what holds it back, and when it may begin."""
        return self._answers.view(views.WaitingView, f"{run_path(run_id)}/waiting")

    def workers(self) -> list[WorkerView]:
        """Every worker that was heard of within a day, by name."""
        return self._answers.views(views.WorkerView, WORKERS)

    def drain(self, worker: str | None = None) -> None:
        """Lets that worker, or every worker, finish what it has and claim nothing more.

        Raises:
            NotAllowed: only administrators may.
        """
        self._transport.post(drain_path(worker))

    def end_drain(self, worker: str | None = None) -> None:
        """Lets that worker, or every worker that is not drained by name, claim again."""
        self._transport.delete(drain_path(worker))
