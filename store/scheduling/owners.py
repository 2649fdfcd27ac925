"""Whom device time is counted for. An owner is stored with the first run that it submits."""

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.core.db import now
from store.core.models import DEFAULT_USER, Attempt, Base, OwnerRow, Run
from store.scheduling.requirements import requests_of

HALF_LIFE_S = 24 * 3600.0
"""After which a used device second counts half: whoever had the devices all night gives way in the morning."""
INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A user, in a team or in none. The same user in two teams is two owners."""

    user: str
    team: str | None = None

    @property
    def id(self) -> str:
        """`team/user`; neither name has a slash."""
        return f"{self.team or ''}/{self.user}"

    @classmethod
    def of(cls, run: Run) -> "Owner":
        """The owner of a run."""
        return cls(user=run.user, team=run.team)

    @property
    def columns(self) -> dict[str, str | None]:
        """The columns of a run that say whose it is."""
        return {"user": self.user, "team": self.team, "owner": self.id}


NOBODY_ELSE = Owner(user=DEFAULT_USER)
"""Who has the service's one token."""


def insert_new(session: Session, table: type[Base], **values: Any) -> Insert:
    """An INSERT that does nothing where the row is there."""
    return INSERTS[session.get_bind().dialect.name](table).values(**values).on_conflict_do_nothing()


def ensure(session: Session, owner: Owner) -> None:
    """Stores the owner unless it is there: runs refer to it."""
    values = {"id": owner.id, "user": owner.user, "team": owner.team, "device_seconds": 0.0, "as_of": now()}
    session.execute(insert_new(session, OwnerRow, **values))


def decayed(device_seconds: float, age_s: float) -> float:
    """What is left of device seconds that were counted `age_s` seconds ago."""
    return device_seconds * 2 ** (-max(0.0, age_s) / HALF_LIFE_S)


def use_of(duration_s: float) -> float:
    """Device seconds of an attempt that ends now, after `duration_s`: each has decayed since it was used.

    The integral of 2^(-t / half-life) over the duration: nearly the duration where that is short, and never more than
    1.44 half-lives.
    """
    rate = math.log(2) / HALF_LIFE_S
    return -math.expm1(-rate * max(0.0, duration_s)) / rate


def charge(session: Session, run: Run, attempt: Attempt) -> None:
    """Counts an attempt that has just ended for the run's owner, for as many devices as it uses."""
    if attempt.ended_at is None:
        return
    row = session.get(OwnerRow, run.owner, with_for_update={"key_share": True}, populate_existing=True)
    assert row is not None, "runs refer to their owner"
    row.device_seconds = decayed(row.device_seconds, attempt.ended_at - row.as_of)
    devices = requests_of(run.spec).gpus / (attempt.stack_size or 1)
    row.device_seconds += use_of(attempt.ended_at - attempt.started_at) * devices
    row.as_of = max(row.as_of, attempt.ended_at)
    session.flush()
