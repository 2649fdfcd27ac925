"""Workers as the database knows them: when each was last heard of, and which may claim nothing more."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, or_, select, true, update
from sqlalchemy.orm import Session

from store.core.db import now
from store.core.errors import WorkerNotFound
from store.core.models import Drain, Run, WorkerRow
from store.core.settings import ALIVE_FOR
from store.scheduling.owners import insert_new
from store.scheduling.requirements import suits

EVERY_WORKER = "*"
"""Name in `drains` that stands for all; no worker has it."""
FORGOTTEN_AFTER = timedelta(days=1)
"""A worker that was not heard of for longer is gone for good: names with process ids never come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker as the database knows it."""

    name: str
    started_at: float
    seen_at: float
    is_alive: bool
    is_drained: bool
    """Whether it claims nothing more, by its own name or because the whole service is drained."""
    run_id: str | None
    """What it trains."""
    gpus: int = 1
    """That one run may have, or processes where it has none."""
    gpu_memory: int | None = None
    """Bytes of its largest GPU; None where it has none."""
    labels: tuple[str, ...] = ()
    """That a run may ask for; sorted, each once."""
    obstacle: str | None = None
    """Why it does not claim the run whose turn it is; None where it would."""
    bf16_speedup: float | None = None
    """How many times as fast it multiplies in bf16 as in float32; None where it has not measured."""


def begin(session: Session, name: str) -> bool:
    """A worker of that name has started, which ends its drain; whether it had one.

    Those gone for good are forgotten, and their drains.
    """
    longest_ago = now() - FORGOTTEN_AFTER.total_seconds()
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < longest_ago))
    known = select(WorkerRow.name)
    over = delete(Drain).where(or_(Drain.worker == name, Drain.worker.not_in(known)), Drain.worker != EVERY_WORKER)
    ended = session.scalars(over.returning(Drain.worker).execution_options(synchronize_session=False)).all()
    _touch(session, name, started_at=now())
    return name in ended


def beat(session: Session, name: str) -> None:
    """The worker is alive."""
    _touch(session, name)


def describe(
    session: Session,
    name: str,
    *,
    gpus: int = 1,
    gpu_memory: int | None = None,
    labels: Collection[str] = (),
    obstacle: str | None = None,
    bf16_speedup: float | None = None,
) -> None:
    """The worker is alive, and says what it has and what keeps it from claiming: see `Worker`."""
    _touch(
        session,
        name,
        gpus=gpus,
        gpu_memory=gpu_memory,
        labels=sorted(labels),
        obstacle=obstacle,
        bf16_speedup=bf16_speedup,
    )


def _touch(session: Session, name: str, **values: object) -> None:
    touched = session.execute(
        update(WorkerRow)
        .where(WorkerRow.name == name)
        .values(seen_at=now(), **values)
        .returning(WorkerRow.name)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if touched is None:
        new = {"started_at": now(), "seen_at": now(), **values}
        session.execute(insert_new(session, WorkerRow, name=name, **new))


def end(session: Session, name: str) -> None:
    """The worker has stopped, as it was told to."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == name))
    session.execute(delete(Drain).where(Drain.worker == name))


def list_workers(session: Session) -> list[Worker]:
    """Every worker that was heard of within a day, by name."""
    at = session.scalars(select(now())).one()
    seen = WorkerRow.seen_at >= at - FORGOTTEN_AFTER.total_seconds()
    drained = set(session.scalars(select(Drain.worker)))
    query = select(Run.lease_worker, Run.id).where(Run.status == "running")
    trains = {run.lease_worker: run.id for run in session.execute(query)}
    return [
        Worker(
            name=row.name,
            started_at=row.started_at,
            seen_at=row.seen_at,
            is_alive=at - row.seen_at <= ALIVE_FOR.total_seconds(),
            is_drained=bool(drained & {row.name, EVERY_WORKER}),
            run_id=trains.get(row.name),
            gpus=row.gpus,
            gpu_memory=row.gpu_memory,
            labels=tuple(row.labels),
            obstacle=None if row.name in trains else row.obstacle,
            bf16_speedup=row.bf16_speedup,
        )
        for row in session.scalars(select(WorkerRow).where(seen).order_by(WorkerRow.name))
    ]


def could_train(workers: Iterable[Worker]) -> ColumnElement[bool]:
    """The guard of runs that one of the workers could train if it had nothing else to do; without workers, of all."""
    kinds = {(worker.gpus, worker.gpu_memory, worker.labels) for worker in workers}
    if not kinds:
        return true()
    return or_(
        *(and_(*suits(most_gpus=gpus, largest_gpu=memory, labels=labels)) for gpus, memory, labels in kinds),
    )


def drain(session: Session, name: str) -> None:
    """The worker, or with `EVERY_WORKER` all of them, finishes what it has and claims nothing more.

    Raises:
        WorkerNotFound: no worker has this name.
    """
    _require_known(session, name)
    session.execute(insert_new(session, Drain, worker=name, since=now()))


def _require_known(session: Session, name: str) -> None:
    if name != EVERY_WORKER and session.get(WorkerRow, name) is None:
        raise WorkerNotFound(name)


def end_drain(session: Session, name: str) -> None:
    """The worker, or with `EVERY_WORKER` all that are not drained by name, may claim again.

    Raises:
        WorkerNotFound: no worker has this name.
    """
    _require_known(session, name)
    session.execute(delete(Drain).where(Drain.worker == name))


def is_drained(session: Session, name: str) -> bool:
    """Whether the worker may claim nothing."""
    return (
        session.scalars(select(Drain.worker).where(Drain.worker.in_([name, EVERY_WORKER])).limit(1)).first() is not None
    )


def drained_since(session: Session) -> float | None:
    """Since when the whole service is drained; None where it is not."""
    found = session.get(Drain, EVERY_WORKER, populate_existing=True)
    return None if found is None else found.since
