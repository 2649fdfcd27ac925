"""Whose run is claimed next: priority first, then the team, then its user, that has used least for its weight.

Use is device seconds with a half-life of 24 hours: what owners' rows hold of attempts that have ended, and what
running attempts have used up to now; a run on several GPUs uses as many devices, and one of n that are trained
together an nth of one. Of one owner, the oldest run comes first.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from store.core.db import now
from store.core.models import Attempt, OwnerRow, Run
from store.scheduling.accounts import Sharing
from store.scheduling.owners import Owner, decayed, use_of
from store.scheduling.requirements import devices_of_attempt

WEEK_S = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What an owner has used and has now."""

    owner: Owner
    device_seconds: float
    """Decayed to now."""
    running: int
    """Runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHead:
    """The first of an owner's queued runs."""

    use: Use
    priority: int
    created_at: float
    team_share: float
    """Device seconds for the weight of the team, or of the user who has none."""
    user_share: float
    """Likewise, of the user within the team."""

    @property
    def rank(self) -> tuple[float, float, float, float, str]:
        """Lower is claimed first."""
        return -self.priority, self.team_share, self.user_share, self.created_at, self.use.owner.id


def uses(session: Session) -> list[Use]:
    """What every owner has used and has now."""
    at = session.scalars(select(now())).one()
    running: dict[str, list[float]] = defaultdict(list)
    query = (
        select(Run.owner, Attempt.started_at, devices_of_attempt())
        .join(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt))
        .where(Run.status == "running")
    )
    for owner, started_at, devices in session.execute(query):
        running[owner].append(use_of(at - started_at) * devices)
    return [
        Use(
            owner=Owner(user=row.user, team=row.team),
            device_seconds=decayed(row.device_seconds, at - row.as_of) + sum(running[row.id]),
            running=len(running[row.id]),
        )
        for row in session.execute(
            select(OwnerRow.id, OwnerRow.user, OwnerRow.team, OwnerRow.device_seconds, OwnerRow.as_of)
        )
    ]


def week_of(session: Session) -> dict[str, float]:
    """Device seconds of each owner's attempts in the last seven days, each for as many devices as it uses."""
    at = session.scalars(select(now())).one()
    begin = at - WEEK_S
    started_at = case((Attempt.started_at < begin, begin), else_=Attempt.started_at)
    query = (
        select(Run.owner, func.sum((func.coalesce(Attempt.ended_at, at) - started_at) * devices_of_attempt()))
        .join(Run, Run.id == Attempt.run_id)
        .where(or_(Attempt.ended_at > begin, Attempt.ended_at.is_(None)))
        .group_by(Run.owner)
    )
    return {owner: max(0.0, seconds or 0.0) for owner, seconds in session.execute(query)}


def queued_of(session: Session) -> dict[str, int]:
    """Queued runs of each owner that has any."""
    query = select(Run.owner, func.count()).where(Run.status == "queued").group_by(Run.owner)
    return {owner: int(count) for owner, count in session.execute(query)}


def heads(session: Session, sharing: Sharing) -> list[QueueHead]:
    """The first queued run of each owner that has one, in the order in which they are claimed."""
    firsts = {owner: (priority, created_at) for owner, priority, created_at in session.execute(_firsts())}
    if not firsts:
        return []  # most polls: what runs need not be read for them
    found = uses(session)
    by_team: dict[str, float] = defaultdict(float)
    for use in found:
        by_team[_team_of(use.owner)] += use.device_seconds
    return sorted(
        (
            QueueHead(
                use=use,
                priority=firsts[use.owner.id][0],
                created_at=firsts[use.owner.id][1],
                team_share=by_team[_team_of(use.owner)] / sharing.weight_of_team(use.owner),
                user_share=use.device_seconds / sharing.weight_of_user(use.owner.user),
            )
            for use in found
            if use.owner.id in firsts
        ),
        key=lambda head: head.rank,
    )


def _team_of(owner: Owner) -> str:
    """A user without a team is a team of its own; no team's name begins with a slash."""
    return owner.team or owner.id


def _firsts() -> "Select[str, int, float]":
    """Of each owner with a queued run: the highest priority, and the age of the oldest run that has it.

    Both are looked up in the index of the queue, once an owner, however many runs are queued.
    """
    top, oldest = aliased(Run), aliased(Run)
    priority = select(func.max(top.priority)).where(top.status == "queued", top.owner == OwnerRow.id).scalar_subquery()
    ranked = select(OwnerRow.id, priority.label("priority")).subquery()
    created_at = (
        select(func.min(oldest.created_at))
        .where(oldest.status == "queued", oldest.owner == ranked.c.id, oldest.priority == ranked.c.priority)
        .scalar_subquery()
    )
    return select(ranked.c.id, ranked.c.priority, created_at).where(ranked.c.priority.is_not(None))


def below(session: Session, head: QueueHead) -> QueueHead | None:
    """The first run of the same owner among those of lower priority; None without one."""
    of_owner = (Run.status == "queued", Run.owner == head.use.owner.id, Run.priority < head.priority)
    query = select(Run.priority, Run.created_at).where(*of_owner)
    row = session.execute(query.order_by(Run.priority.desc(), Run.created_at).limit(1)).one_or_none()
    return None if row is None else replace(head, priority=row[0], created_at=row[1])


def merged(ranked: Sequence[QueueHead], head: QueueHead) -> list[QueueHead]:
    """The heads with one more, in order."""
    return sorted([*ranked, head], key=lambda each: each.rank)
