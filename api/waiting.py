"""Why a run waits."""

from typing import Self

from fastapi import APIRouter

from api.deps import FoundRun, Reader, ServicesDep
from api.errors import documented
from api.views import View
from store.models import Run, Status
from store.waiting import ReasonKind, Waiting, why_waiting

router = APIRouter(prefix="/runs/{run_id}/waiting", tags=["runs"])


class SpreadView(View):
    """The quartiles of a duration, in seconds."""

    low: float
    median: float
    high: float


class ReasonView(View):
    """One thing that a run waits for."""

    kind: ReasonKind
    text: str


class WaitingView(View):
    """Why a run waits."""

    run_id: str
    status: Status
    ahead: int | None
    """Runs that would be claimed before it; null where it is not queued, held back by a quota, or too far behind."""
    reasons: list[ReasonView]
    """Empty where it does not wait, or a worker is about to claim it."""
    starts_in_s: SpreadView | None
    """From now, if nobody submits meanwhile; null: unknown."""
    takes_s: SpreadView | None
    """Its training from where it is, by finished runs of the same preset, data set and generator; null: unknown."""
    compared_with: int
    """Finished runs that `takes_s` is taken from."""

    @classmethod
    def of(cls, run: Run, waiting: Waiting) -> Self:
        """The view of what was found."""
        shown = {name: getattr(waiting, name) for name in cls.model_fields if name not in ("run_id", "status")}
        return cls.model_validate({"run_id": run.id, "status": run.status, **shown})


@router.get("", responses=documented(404))
def get_waiting(run: FoundRun, session: Reader, services: ServicesDep) -> WaitingView:
    """Ask why a run waits: what is claimed before it, what holds it back, and when it may begin."""
    return WaitingView.of(run, why_waiting(session, run, services.accounts.sharing))
