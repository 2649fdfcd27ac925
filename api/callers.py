"""Who sends a request, for pages that say whose session it is."""

from fastapi import APIRouter

from api.deps import CallerDep
from ganlib.wire.callers import CallerView

router = APIRouter(prefix="/caller", tags=["callers"])


@router.get("")
async def get_caller_view(caller: CallerDep) -> CallerView:
    """Ask whose token, or session, this is."""
    return CallerView(user=caller.owner.user, team=caller.owner.team, administrator=caller.administrator)
