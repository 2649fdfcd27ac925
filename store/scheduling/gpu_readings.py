"""What workers read of their GPUs: the last reading of each, for the metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from store.core.db import now
from store.core.models import GpuReading

FRESH_S = 60.0
"""Older readings are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What a GPU does."""

    number: int
    """As the driver counts."""
    name: str
    utilisation: float
    """Share of the time in which it computed, in [0, 1]."""
    memory_used: int
    """In bytes, as the next."""
    memory_total: int


def store(session: Session, worker: str, gpus: Sequence[Gpu]) -> None:
    """Replaces what that worker read before, and forgets what is old."""
    session.execute(delete(GpuReading).where(or_(GpuReading.worker == worker, GpuReading.read_at < now() - FRESH_S)))
    session.add_all(
        GpuReading(
            worker=worker,
            gpu=gpu.number,
            name=gpu.name,
            utilisation=gpu.utilisation,
            memory_used=gpu.memory_used,
            memory_total=gpu.memory_total,
            read_at=now(),
        )
        for gpu in gpus
    )


def fresh(session: Session) -> list[GpuReading]:
    """The readings of workers that are alive."""
    return list(
        session.scalars(
            select(GpuReading).where(GpuReading.read_at > now() - FRESH_S).order_by(GpuReading.worker, GpuReading.gpu)
        )
    )
