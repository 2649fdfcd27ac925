"""What the service has done and has to do, as numbers for its metrics. No number depends on how many runs there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ganlib.wire.statuses import STATUSES, AttemptOutcome, Status
from store.core.db import now
from store.core.models import Attempt, Epoch, GpuReading, Kind, Run, WorkerRow
from store.core.settings import ALIVE_FOR
from store.scheduling import gpu_readings

EPOCH_WINDOW_S = 3600.0
MOST_EPOCHS = 10_000
"""Of the window, the newest so many are looked at."""
QUANTILES = (0.5, 0.9, 0.99)
MOST_PRIORITIES = 20
KINDS: tuple[Kind, ...] = get_args(Kind)
OUTCOMES: tuple[AttemptOutcome, ...] = get_args(AttemptOutcome)
LEASE_LOST = "% stopped renewing its lease"
"""Error of an attempt whose worker was lost, as `endings.requeue_expired` writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedCount:
    """Queued runs of one kind and priority."""

    kind: Kind
    priority: int
    count: int
    oldest_s: float
    """For which the one waits that waits longest, since it was queued last, or another last gave way to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTimes:
    """How long the epochs took that were recorded in the last hour, in seconds."""

    count: int
    total: float
    quantiles: Mapping[float, float]
    """Empty where there were none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMetrics:
    """All of them, at one moment."""

    waiting: tuple[QueuedCount, ...]
    """Of the highest priorities, where there are very many."""
    runs: Mapping[tuple[Kind, Status], int]
    attempts: Mapping[AttemptOutcome, int]
    leases_lost: int
    epochs_done: int
    epoch_times: EpochTimes
    workers_alive: int
    gpus: tuple[GpuReading, ...]


def read_metrics(session: Session) -> ServiceMetrics:
    """The numbers of this moment."""
    return ServiceMetrics(
        waiting=_waiting(session),
        runs=_runs(session),
        attempts=_attempts(session),
        leases_lost=_count(session, Attempt.outcome == "lost", Attempt.error.like(LEASE_LOST)),
        epochs_done=_epochs_done(session),
        epoch_times=_epoch_times(session),
        workers_alive=_count(session, WorkerRow.seen_at > now() - ALIVE_FOR.total_seconds()),
        gpus=tuple(gpu_readings.fresh(session)),
    )


def _count(session: Session, *guards: ColumnElement[bool]) -> int:
    return session.scalars(select(func.count()).where(*guards)).one()


def _waiting(session: Session) -> tuple[QueuedCount, ...]:
    since = func.coalesce(Run.waits_since, Run.created_at)
    found = session.execute(
        select(Run.kind, Run.priority, func.count(), now() - func.min(since))
        .where(Run.status == "queued")
        .group_by(Run.kind, Run.priority)
        .order_by(Run.priority.desc(), Run.kind)
        .limit(MOST_PRIORITIES)
    )
    return tuple(
        QueuedCount(kind=kind, priority=priority, count=count, oldest_s=max(0.0, oldest_s))
        for kind, priority, count, oldest_s in found
    )


def _runs(session: Session) -> dict[tuple[Kind, Status], int]:
    counts: dict[tuple[Kind, Status], int] = {(kind, status): 0 for kind in KINDS for status in STATUSES}
    found = session.execute(select(Run.kind, Run.status, func.count()).group_by(Run.kind, Run.status))
    counts.update(((kind, status), count) for kind, status, count in found)
    return counts


def _attempts(session: Session) -> dict[AttemptOutcome, int]:
    counts: dict[AttemptOutcome, int] = dict.fromkeys(OUTCOMES, 0)
    found = session.execute(select(Attempt.outcome, func.count()).group_by(Attempt.outcome))
    counts.update((outcome, count) for outcome, count in found)
    return counts


def _epochs_done(session: Session) -> int:
    """Of trainings: a comparison is a job of one epoch, and makes none."""
    query = select(func.coalesce(func.sum(Run.epochs_done), 0)).where(Run.kind == "training")
    return session.scalars(query).one()


def _epoch_times(session: Session) -> EpochTimes:
    recent = select(Epoch.seconds).where(Epoch.recorded_at > now() - EPOCH_WINDOW_S)
    seconds = sorted(session.scalars(recent.order_by(Epoch.recorded_at.desc()).limit(MOST_EPOCHS)))
    last = len(seconds) - 1
    return EpochTimes(
        count=len(seconds),
        total=sum(seconds),
        quantiles={q: seconds[round(q * last)] for q in QUANTILES} if seconds else {},
    )
