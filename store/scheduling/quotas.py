"""What a user or a team may have at once: refuses submissions, and holds runs in the queue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session

from ganlib.wire.statuses import Status
from ganlib.wire.waiting import Limit, Scope
from store.core.db import now
from store.core.errors import PriorityNotAllowed, QuotaExceeded
from store.core.models import Attempt, OwnerRow, Run
from store.scheduling.accounts import UNLIMITED, Caller, Quota, Sharing
from store.scheduling.owners import Owner
from store.scheduling.requirements import devices_of_attempt

DAY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How much of a limit is used up; `reached` gives those that hold an owner's runs in the queue."""

    scope: Scope
    name: str
    """Of the user or the team."""
    limit: Limit
    used: float
    allowed: float

    def __str__(self) -> str:
        words = {
            "running": f"has {self.used:g} runs running of {self.allowed:g} allowed",
            "queued": f"has {self.used:g} runs queued of {self.allowed:g} allowed",
            "storage_bytes": f"stores {self.used / 1e9:.2f} GB of {self.allowed / 1e9:.2f} GB allowed",
            "device_hours": f"has used {self.used:.1f} device hours in the last 24 h, of {self.allowed:g} allowed",
        }
        return f"the {self.scope} '{self.name}' {words[self.limit]}"


def _scopes(owner: Owner, sharing: Sharing) -> list[tuple[Scope, str, Quota, ColumnElement[bool]]]:
    """The user and, where there is one, the team: each with its quota and its runs."""
    found: list[tuple[Scope, str, Quota, ColumnElement[bool]]] = [
        ("user", owner.user, sharing.quota_of_user(owner.user), Run.user == owner.user)
    ]
    if owner.team is not None:
        found.append(("team", owner.team, sharing.quota_of_team(owner.team), Run.team == owner.team))
    return found


def require_room(session: Session, owner: Owner, sharing: Sharing) -> None:
    """Returns where what the owner has queued, with what this transaction has just added, is within its quota.

    To be called only where it has added something: runs that were lost come back into the queue in any case.

    Raises:
        QuotaExceeded: it is not; the transaction must not be committed.
    """
    limited = [scope for scope in _scopes(owner, sharing) if scope[2].queued is not None]
    if limited:
        lock(session, owner, sharing)
    for scope, name, quota, runs in limited:
        assert quota.queued is not None
        queued = _count(session, runs, "queued")
        if queued > quota.queued:
            raise QuotaExceeded(scope, name, queued=queued, allowed=quota.queued)


def require_priorities(caller: Caller, sharing: Sharing, asked: Mapping[str, int]) -> None:
    """Returns where the caller may give its runs these priorities, each by the field of the request that asks for it.

    Administrators may give any, and everybody may give 0 or less.

    Raises:
        PriorityNotAllowed: one is higher than the caller's user or team may give; it names the first.
    """
    if caller.administrator:
        return
    limits = [(quota.max_priority or 0, scope, name) for scope, name, quota, _ in _scopes(caller.owner, sharing)]
    allowed, scope, name = min(limits, key=lambda limit: limit[0])
    for field, priority in asked.items():
        if priority > allowed:
            raise PriorityNotAllowed(field, scope, name, priority=priority, allowed=allowed)


def holds_back(owner: Owner, sharing: Sharing) -> bool:
    """Whether a quota may hold the owner's runs in the queue."""
    quotas = [quota for _, _, quota, _ in _scopes(owner, sharing)]
    return any(quota.running is not None or quota.device_hours is not None for quota in quotas)


def lock(session: Session, owner: Owner, sharing: Sharing) -> None:
    """Lets nobody else count for the owner's user and team before this transaction ends."""
    of_scopes = [OwnerRow.user == owner.user]
    if owner.team is not None and sharing.quota_of_team(owner.team) != UNLIMITED:
        of_scopes.append(OwnerRow.team == owner.team)
    # All at once and always in this order: two transactions cannot deadlock.
    session.execute(
        select(OwnerRow.id).where(or_(*of_scopes)).order_by(OwnerRow.id).with_for_update(key_share=True)
    ).all()


def reached(session: Session, owner: Owner, sharing: Sharing) -> Reached | None:
    """The first limit that holds the owner's runs in the queue; None where one more may run."""
    for scope, name, quota, runs in _scopes(owner, sharing):
        if quota.running is not None:
            running = _count(session, runs, "running")
            if running >= quota.running:
                return Reached(scope=scope, name=name, limit="running", used=running, allowed=quota.running)
        if quota.device_hours is not None:
            hours = _device_hours(session, runs)
            if hours >= quota.device_hours:
                return Reached(scope=scope, name=name, limit="device_hours", used=hours, allowed=quota.device_hours)
    return None


def limits(
    session: Session, owner: Owner, sharing: Sharing, stored_bytes: Callable[[Scope, str], int]
) -> list[Reached]:
    """Every limit of the owner's user and team, and how much of it is used; `stored_bytes`: what their files take."""
    found: list[Reached] = []
    for scope, name, quota, runs in _scopes(owner, sharing):
        used: dict[Limit, Callable[[], float]] = {
            "running": partial(_count, session, runs, "running"),
            "queued": partial(_count, session, runs, "queued"),
            "device_hours": partial(_device_hours, session, runs),
            "storage_bytes": partial(stored_bytes, scope, name),
        }
        for limit, count in used.items():
            allowed: float | None = getattr(quota, limit)
            if allowed is not None:
                found.append(Reached(scope=scope, name=name, limit=limit, used=count(), allowed=allowed))
    return found


def counts_hours_of(session: Session, run: Run, sharing: Sharing) -> str | None:
    """Whose quota of device hours counts the run, which is over, for people; None where none does."""
    limited = [scope for scope in _scopes(Owner.of(run), sharing) if scope[2].device_hours is not None]
    counted = select(Attempt.number).where(Attempt.run_id == run.id, Attempt.ended_at > now() - DAY_S)
    if not limited or session.scalars(counted.limit(1)).first() is None:
        return None
    scope, name, *_ = limited[0]
    return f"the {scope} '{name}'"


def _count(session: Session, runs: ColumnElement[bool], status: Status) -> int:
    query = select(func.count()).select_from(Run).where(runs, Run.status == status, Run.watched.is_(False))
    return session.scalars(query).one()


def _device_hours(session: Session, runs: ColumnElement[bool]) -> float:
    """Of the attempts of these runs, in the last 24 hours, each for as many devices as it uses."""
    at = session.scalars(select(now())).one()
    begin = at - DAY_S
    started_at = case((Attempt.started_at < begin, begin), else_=Attempt.started_at)
    query = (
        select(func.sum((func.coalesce(Attempt.ended_at, at) - started_at) * devices_of_attempt()))
        .join(Run, Run.id == Attempt.run_id)
        .where(runs, or_(Attempt.ended_at > begin, Attempt.ended_at.is_(None)))
    )
    return max(0.0, session.scalars(query).one() or 0.0) / 3600
