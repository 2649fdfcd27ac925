"""Why a run waits."""

from collections.abc import Sequence

from fastapi import APIRouter

from api.deps import FoundRun, Reader, ServicesDep
from api.errors import documented
from ganlib.wire.waiting import LimitView, Scope, WaitingView
from store.core.models import Run
from store.files.usage import TOTALS
from store.scheduling import quotas
from store.scheduling.explain import Waiting, why_waiting
from store.scheduling.owners import Owner
from store.scheduling.quotas import Reached

router = APIRouter(prefix="/runs/{run_id}/waiting", tags=["runs"])


@router.get("", responses=documented(404))
def get_waiting(run: FoundRun, session: Reader, services: ServicesDep) -> WaitingView:
    """Ask why a run waits: what is claimed before it, what holds it back, and when it may begin."""
    sharing = services.accounts.sharing

    def stored_bytes(scope: Scope, name: str) -> int:
        return TOTALS[scope](services.storage.usages(), name)

    limits = quotas.limits(session, Owner.of(run), sharing, stored_bytes)
    return _view(run, why_waiting(session, run, sharing), limits)


def _view(run: Run, waiting: Waiting, limits: Sequence[Reached]) -> WaitingView:
    own = {"run_id": run.id, "status": run.status, "limits": [_limit(limit) for limit in limits]}
    shown = {name: getattr(waiting, name) for name in WaitingView.model_fields if name not in own}
    return WaitingView.model_validate({**shown, **own})


def _limit(found: Reached) -> LimitView:
    return LimitView(
        scope=found.scope,
        name=found.name,
        limit=found.limit,
        used=found.used,
        allowed=found.allowed,
        text=str(found),
    )
