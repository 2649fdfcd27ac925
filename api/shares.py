"""Fair share as it stands: who has used how much, and whose turn is next."""

from fastapi import APIRouter

from api.deps import Reader, ServicesDep
from ganlib.wire.shares import ShareList, ShareView
from store.scheduling import fair_share

router = APIRouter(tags=["workers"])


@router.get("/shares")
def list_shares(session: Reader, services: ServicesDep) -> ShareList:
    """Look at what each user has used, and whose turn is next."""
    sharing = services.accounts.sharing
    turns = {head.use.owner.id: place for place, head in enumerate(fair_share.heads(session, sharing), start=1)}
    week = fair_share.week_of(session)
    queued = fair_share.queued_of(session)
    shares = [
        ShareView(
            user=use.owner.user,
            team=use.owner.team,
            weight=sharing.weight_of_user(use.owner.user),
            team_weight=sharing.weight_of_team(use.owner),
            device_seconds=round(use.device_seconds, 3),
            week_device_seconds=round(week.get(use.owner.id, 0.0), 3),
            running=use.running,
            queued=queued.get(use.owner.id, 0),
            turn=turns.get(use.owner.id),
        )
        for use in fair_share.uses(session)
    ]
    return ShareList(items=tuple(sorted(shares, key=lambda share: (-share.week_device_seconds, share.user))))
