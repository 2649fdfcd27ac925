"""Why a run waits."""

from collections.abc import Sequence
from typing import Self

from fastapi import APIRouter

from api.deps import FoundRun, Reader, ServicesDep
from api.errors import documented
from api.views import View
from store.core.models import Run, Status
from store.files.usage import TOTALS
from store.scheduling import quotas
from store.scheduling.explain import Waiting, why_waiting
from store.scheduling.owners import Owner
from store.scheduling.quotas import Limit, Reached, Scope
from store.scheduling.reasons import ReasonKind

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


class LimitView(View):
    """A quota of whoever the run belongs to."""

    scope: Scope
    name: str
    """Of the user or the team."""
    limit: Limit
    used: float
    allowed: float
    text: str

    @classmethod
    def of(cls, found: Reached) -> Self:
        """The view of a limit."""
        return cls(
            scope=found.scope,
            name=found.name,
            limit=found.limit,
            used=found.used,
            allowed=found.allowed,
            text=str(found),
        )


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
    limits: list[LimitView]
    """The quotas of its user and team. `running` and `device_hours` hold runs back; the others refuse requests."""

    @classmethod
    def of(cls, run: Run, waiting: Waiting, limits: Sequence[Reached]) -> Self:
        """The view of what was found."""
        own = {"run_id": run.id, "status": run.status, "limits": [LimitView.of(limit) for limit in limits]}
        shown = {name: getattr(waiting, name) for name in cls.model_fields if name not in own}
        return cls.model_validate({**shown, **own})


@router.get("", responses=documented(404))
def get_waiting(run: FoundRun, session: Reader, services: ServicesDep) -> WaitingView:
    """Ask why a run waits: what is claimed before it, what holds it back, and when it may begin."""
    sharing = services.accounts.sharing

    def stored_bytes(scope: Scope, name: str) -> int:
        return TOTALS[scope](services.storage.usages(services.engine), name)

    limits = quotas.limits(session, Owner.of(run), sharing, stored_bytes)
    return WaitingView.of(run, why_waiting(session, run, sharing), limits)
