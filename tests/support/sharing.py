"""Runs of several users, what they have used, and workers."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from store.core.db import clock
from store.core.models import Attempt, OwnerRow, Run, WorkerRow
from store.runs import claims
from store.runs.lifecycle import create
from store.scheduling import workers
from store.scheduling.accounts import EQUAL, Quota, Sharing
from store.scheduling.owners import Owner, ensure
from tests.support.store import LEASE, request

ADA = Owner(user="ada", team="vision")
BOB = Owner(user="bob", team="vision")
CYD = Owner(user="cyd")
RUNNING_1 = Sharing(user_quotas={"ada": Quota(running=1)})


def submit(session: Session, owner: Owner, number: int = 1, *, priority: int = 0, age_s: float = 0) -> list[str]:
    """So many queued runs of the owner, oldest first."""
    wanted = request(owner.user)
    made: list[str] = []
    for index in range(number):
        run = create(session, wanted, wanted.resolve(), priority=priority, owner=owner)
        run.created_at -= age_s + number - index
        made.append(run.id)
    session.flush()
    return made


def have_used(session: Session, owner: Owner, device_seconds: float, *, age_s: float = 0) -> None:
    """The owner has used so much, so long ago."""
    ensure(session, owner)
    values = {"device_seconds": device_seconds, "as_of": clock(session) - age_s}
    session.execute(update(OwnerRow).where(OwnerRow.id == owner.id).values(**values))


def used(session: Session, owner: Owner) -> float:
    """Device seconds in the owner's row."""
    return session.get_one(OwnerRow, owner.id, populate_existing=True).device_seconds


def claim_users(session: Session, number: int, sharing: Sharing = EQUAL) -> list[str]:
    """Whose runs are claimed, one after the other."""
    claimed = (claims.claim(session, f"worker-{n}", LEASE, sharing) for n in range(number))
    return [session.get_one(Run, claim.run_id).user for claim in claimed if claim is not None]


def began_ago(session: Session, run_id: str, seconds: float) -> None:
    """The run's attempts began that long ago."""
    began = clock(session) - seconds
    session.execute(update(Attempt).where(Attempt.run_id == run_id).values(started_at=began))
    session.execute(update(Run).where(Run.id == run_id).values(started_at=began))


def seen_ago(session: Session, name: str, seconds: float) -> None:
    """The worker was last heard of that long ago."""
    workers.begin(session, name)
    session.execute(update(WorkerRow).where(WorkerRow.name == name).values(seen_at=clock(session) - seconds))
