"""Preemption: runs of low priority give way to queued ones of a higher, asked here, with their next epoch.

    running ─ask→ running, gives_way_to another ─endings.pause→ queued, at its old place

Asked is the run of the lowest priority; among equals the one whose last checkpoint is youngest, then the youngest. Each
queued run is given way to by one at a time, and waits its whole patience again before the next is asked.

Never asked are runs without checkpoints, those of a drained or silent worker, those that gave way a while ago, and
those whose place the other could not take: a run on a GPU gives way to one that asks for no more of it, a run on the
CPU of a worker with GPUs to none that wants one, and none to a run that asks for labels, or for a number of GPUs, which
its worker has not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, Text, and_, cast, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from store.core.db import now
from store.core.models import Attempt, Drain, Epoch, OwnerRow, Run, WorkerRow
from store.scheduling import quotas, workers
from store.scheduling.accounts import EQUAL, Sharing
from store.scheduling.fair_share import heads
from store.scheduling.owners import Owner
from store.scheduling.requirements import GB, requests_of, without
from store.scheduling.workers import EVERY_WORKER


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run that was asked to give way, and the one that it is for."""

    run_id: str
    gives_way_to: str


def ask(session: Session, *, patience: timedelta, rest: timedelta, sharing: Sharing = EQUAL) -> Asked | None:
    """Asks a run to give way to one that has waited for longer than `patience`; None where there is none to ask.

    None that has given way within `rest` is asked. A queued run that a quota holds back is given way to by none. Asks
    one in a transaction: who locks one run at a time cannot deadlock.
    """
    if not _is_any_outranked(session):
        return None
    asked = (_ask_one(session, waiting, rest) for waiting in _those_that_wait(session, patience, sharing))
    return next((each for each in asked if each is not None), None)


def wanted_by(session: Session, run: Run) -> str | None:
    """The run that this one is to give way to; None where there is none, or it waits no longer."""
    if run.gives_way_to is None:
        return None
    query = select(Run.id).where(Run.id == run.gives_way_to, Run.status == "queued")
    return session.scalars(query).one_or_none()


def still_wanted_by(session: Session, run: Run) -> str | None:
    """As `wanted_by`, of a run that nobody else changes now: it forgets one that waits no longer.

    Where that one is queued again, it waits its patience anew before a run is asked.
    """
    waiting = wanted_by(session, run)
    if waiting is None and run.gives_way_to is not None:
        run.gives_way_to = None
        session.flush()
    return waiting


def describe(session: Session, gave_way_to: str) -> str:
    """Why an attempt ended that gave way."""
    priority = session.scalars(select(Run.priority).where(Run.id == gave_way_to)).one_or_none()
    return f"gave way to run {gave_way_to}" + ("" if priority is None else f", which has priority {priority}")


def begin_waiting_again(session: Session, run_id: str) -> None:
    """The queued run has just been given way to: it waits its whole patience before another is asked."""
    # Passes by a row that somebody claims now: no deadlock arises.
    waits = select(Run.id).where(Run.id == run_id, Run.status == "queued").with_for_update(skip_locked=True)
    session.execute(
        update(Run)
        .where(Run.id == waits.scalar_subquery())
        .values(waits_since=now())
        .execution_options(synchronize_session=False)
    )


def _is_any_outranked(session: Session) -> bool:
    """Whether a queued run has a higher priority than one that runs: two look-ups for each owner, however many wait."""
    queued = select(func.max(Run.priority)).where(Run.status == "queued", Run.owner == OwnerRow.id)
    running = select(func.min(Run.priority)).where(Run.status == "running", Run.owner == OwnerRow.id)
    outranked = func.max(queued.scalar_subquery()) > func.min(running.scalar_subquery())
    return bool(session.scalars(select(outranked).select_from(OwnerRow)).one())  # NULL where none waits, or none runs


def _those_that_wait(session: Session, patience: timedelta, sharing: Sharing) -> Iterator[Run]:
    """The first queued run of each owner, in the order of claims, where it has waited for longer and may be claimed.

    Those that no worker that is alive could train are passed by.
    """
    has_worker = workers.could_train(worker for worker in workers.list_workers(session) if worker.is_alive)
    for head in heads(session, sharing):
        query = select(Run).where(Run.status == "queued", Run.owner == head.use.owner.id, has_worker)
        first = session.scalars(query.order_by(Run.priority.desc(), Run.created_at, Run.id).limit(1)).one_or_none()
        if first is None or _waited_s(session, first) <= patience.total_seconds():
            continue
        if quotas.reached(session, Owner.of(first), sharing) is None:
            yield first


def _waited_s(session: Session, run: Run) -> float:
    since = run.created_at if run.waits_since is None else run.waits_since
    return session.scalars(select(now())).one() - since


def _ask_one(session: Session, waiting: Run, rest: timedelta) -> Asked | None:
    """Asks the run that loses least; None where no run may be asked, or one is asked already."""
    if session.scalars(select(Run.id).where(Run.gives_way_to == waiting.id)).first() is not None:
        return None
    found = session.execute(_candidates(waiting, rest).limit(1)).one_or_none()
    if found is None:
        return None
    run_id, token = found
    asked = (
        update(Run)
        .where(Run.id == run_id, Run.token == token, Run.status == "running", _gives_way_to_none())
        .values(gives_way_to=waiting.id)
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    )
    try:
        with session.begin_nested():
            is_asked = session.scalars(asked).one_or_none() is not None
    except IntegrityError:  # somebody else has just asked another run to give way to this one
        return None
    return Asked(run_id=run_id, gives_way_to=waiting.id) if is_asked else None


def _candidates(waiting: Run, rest: timedelta) -> "Select[str, int]":
    """Those that may give way to it, first the one to ask."""
    saved_at = (
        select(func.max(Epoch.recorded_at))
        .where(Epoch.run_id == Run.id, Epoch.attempt == Run.attempt, Epoch.checkpoint.is_not(None))
        .scalar_subquery()
    )
    kept_until = func.coalesce(saved_at, Attempt.started_at)
    return (
        select(Run.id, Run.token)
        .join(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt))
        .where(*_may_give_way(rest), Run.priority < waiting.priority)
        .where(_leaves_room_for(waiting), *_has_labels_for(waiting))
        .order_by(Run.priority, kept_until.desc(), Run.created_at.desc(), Run.id)
    )


def _leaves_room_for(waiting: Run) -> ColumnElement[bool]:
    """The run has of its worker what the other needs; a worker without GPUs trains everything on the CPU."""
    needs = requests_of(waiting.spec)
    worker = WorkerRow.name == Run.lease_worker
    gpus = select(WorkerRow.gpus).where(worker).correlate(Run).scalar_subquery()
    has_as_many = func.coalesce(gpus, 1) >= needs.gpus
    if not needs.on_gpu:
        return has_as_many
    gpu = select(WorkerRow.gpu_memory).where(worker).correlate(Run).scalar_subquery()
    resources = Run.spec["resources"]
    budget, device = resources["gpu_memory_gb"].as_float(), resources["device"].as_string()
    has_all = budget.is_(None)
    if needs.gpu_memory is None:
        enough = has_all
    else:
        enough = and_(or_(has_all, budget >= needs.gpu_memory / GB), gpu >= needs.gpu_memory)
    on_that_gpu = and_(gpu.is_not(None), or_(device.is_(None), device != "cpu"), enough)
    return and_(has_as_many, on_that_gpu if needs.needs_gpu else or_(gpu.is_(None), on_that_gpu))


def _has_labels_for(waiting: Run) -> "Iterator[ColumnElement[bool]]":
    """Its worker has each label that the other asks for."""
    labels = cast(WorkerRow.labels, Text)
    worker = select(WorkerRow.name).where(WorkerRow.name == Run.lease_worker).correlate(Run)
    for label in requests_of(waiting.spec).labels:
        yield worker.where(without(labels, [label]) != labels).exists()


def _gives_way_to_none() -> ColumnElement[bool]:
    """It was not asked to, or the run that it was asked for waits no longer."""
    waiting = aliased(Run)
    still = select(waiting.id).where(waiting.id == Run.gives_way_to, waiting.status == "queued")
    return Run.gives_way_to.is_(None) | ~still.correlate(Run).exists()


def _may_give_way(rest: timedelta) -> tuple[ColumnElement[bool], ...]:
    gave_way = select(Attempt.number).where(
        Attempt.run_id == Run.id, Attempt.outcome == "gave way", Attempt.ended_at > now() - rest.total_seconds()
    )
    drained = select(Drain.worker).where(Drain.worker.in_([Run.lease_worker, EVERY_WORKER]))
    return (
        Run.status == "running",
        Run.kind == "training",
        Run.lease_expires_at > now(),
        Run.cancel_requested.is_(False),
        Run.pause_requested.is_(False),
        _gives_way_to_none(),
        ~gave_way.correlate(Run).exists(),
        ~drained.correlate(Run).exists(),
    )
