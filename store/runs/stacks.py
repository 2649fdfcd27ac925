"""Stacks: waiting runs of one owner that one training process trains together, where their specs allow it.

Who is claimed first is decided as ever (see `fair_share`). With it come further runs of its owner that have its
priority and its `stack_key`, oldest first: each is claimed by itself, with a lease and a token of its own, and counts
for quotas. Where none waits beside it such a run is a stack of one: its numbers are the same, bit by bit, whatever
waits. What a stack has begun goes on as a stack, also with a worker that trains each run alone; what was begun as a
run alone goes on so. A run whose last attempt was lost is trained without others: whichever of
them ended the process, the others are rid of it. Where the worker was lost with the attempt it was none of them.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, literal, not_, select
from sqlalchemy.orm import Session

from ganlib.spec.checks.stacking import member_bytes, stack_key
from ganlib.spec.run import RunSpec
from store.core.models import Attempt, Epoch, Run
from store.runs.attempts import LEASE_EXPIRED
from store.runs.leases import take_each
from store.scheduling import quotas
from store.scheduling.accounts import Sharing
from store.scheduling.owners import Owner
from store.scheduling.requirements import requests_of

LOOK_AT = 128
"""Queued runs of the owner with that key that are looked at."""
MOST_BYTES = 2 * 1024**3
"""Memory of a stack's members together, as `member_bytes` estimates it."""
CONTEXT_BYTES = 768 * 1024**2
"""Of a GPU's memory, what the driver takes for a process."""


def is_stacked(session: Session, run: Run, spec: RunSpec, most: int) -> bool:
    """Whether the run, which was just claimed, is trained as a stack, be it of one."""
    if stack_key(spec) is None:
        return False
    return most > 1 if run.epochs_done == 0 else _form(session, run) is not None


def take_fellows(
    session: Session,
    run: Run,
    spec: RunSpec,
    *,
    worker: str,
    lease: timedelta,
    sharing: Sharing,
    most: int,
) -> list[tuple[Run, RunSpec]]:
    """Claims further runs to be trained together with one that was just claimed; at most `most` are a stack."""
    key = stack_key(spec) if most > 1 else None
    if key is None or not _may_be_joined(session, run):
        return []
    room, wanted = _room(run) - member_bytes(spec), dict[str, RunSpec]()
    for run_id, other in _lock(session, _waiting_beside(session, run, key), key, most - 1):
        room -= member_bytes(other)
        if room < 0:
            break
        wanted[run_id] = other
    return [(taken, wanted[taken.id]) for taken in _take(session, run, list(wanted), worker, lease, sharing)]


def _take(
    session: Session, run: Run, wanted: Sequence[str], worker: str, lease: timedelta, sharing: Sharing
) -> list[Run]:
    """Claims these, as far as the quotas of their owner allow it, in their order."""
    owner = Owner.of(run)
    if not quotas.holds_back(owner, sharing):
        return take_each(session, worker, lease, wanted)
    taken: list[Run] = []
    for run_id in wanted:
        # its owners are locked since the first was claimed, where a quota may hold its runs back
        if quotas.reached(session, owner, sharing) is not None:
            break
        taken += take_each(session, worker, lease, [run_id])
    return taken


def _lock(session: Session, run_ids: Collection[str], key: str, most: int) -> Iterator[tuple[str, RunSpec]]:
    """The first of them, at most so many, that nobody else claims now, and their specs, oldest first."""
    query = (
        select(Run.id, Run.spec)
        .where(Run.id.in_(run_ids), Run.status == "queued")
        .order_by(Run.created_at, Run.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    for run_id, document in session.execute(query) if run_ids else ():
        spec = _spec_of(document)
        # a key that an earlier version has stored may be of less
        if spec is not None and stack_key(spec) == key:
            yield run_id, spec


def _waiting_beside(session: Session, run: Run, key: str) -> set[str]:
    """The owner's oldest queued runs of that key and priority that have made as many epochs, and may be joined."""
    waiting = (
        select(Run.id)
        .where(
            Run.status == literal("queued", literal_execute=True),  # as the condition of the index says it
            Run.owner == run.owner,
            Run.priority == run.priority,
            Run.kind == "training",
            Run.epochs_done == run.epochs_done,
        )
        .order_by(Run.created_at, Run.id)
        .limit(LOOK_AT)
    )
    found = set(session.scalars(waiting.where(Run.stack_key == key)))
    # of an earlier version, which stored no keys
    for run_id, document in session.execute(waiting.add_columns(Run.spec).where(Run.stack_key.is_(None))):
        spec = _spec_of(document)
        if spec is not None and stack_key(spec) == key:
            found.add(run_id)
    return found - _ended_their_process(session, found) - _begun_alone(session, found, run.epochs_done)


def _ended_their_process(session: Session, run_ids: Collection[str]) -> set[str]:
    """Those whose last attempt was lost, and not with its worker."""
    query = (
        select(Attempt.run_id)
        .join(Run, (Run.id == Attempt.run_id) & (Run.attempt == Attempt.number))
        .where(Run.id.in_(run_ids), Attempt.outcome == "lost")
        .where(not_(func.coalesce(Attempt.error, "").endswith(LEASE_EXPIRED, autoescape=True)))
    )
    return set(session.scalars(query)) if run_ids else set()


def _begun_alone(session: Session, run_ids: Collection[str], epochs_done: int) -> set[str]:
    """Those whose last epoch, of that number, was not made in a stack."""
    if epochs_done == 0 or not run_ids:
        return set()
    query = (
        select(Epoch.run_id)
        .join(Attempt, (Attempt.run_id == Epoch.run_id) & (Attempt.number == Epoch.attempt))
        .where(Epoch.run_id.in_(run_ids), Epoch.epoch == epochs_done, Attempt.stack_size.is_not(None))
    )
    return set(run_ids) - set(session.scalars(query))


def _spec_of(document: dict[str, Any]) -> RunSpec | None:
    """The spec; None where it is not valid any more, for the run's own claim to tell."""
    try:
        return RunSpec.model_validate(document)
    except ValidationError:
        return None


def _may_be_joined(session: Session, run: Run) -> bool:
    """Whether the attempt before the one just begun did not end its process, and all epochs were made in a stack."""
    attempt = session.get(Attempt, (run.id, run.attempt - 1)) if run.attempt > 1 else None
    if attempt is not None and attempt.outcome == "lost" and not str(attempt.error).endswith(LEASE_EXPIRED):
        return False
    return run.epochs_done == 0 or _form(session, run) is not None


def _form(session: Session, run: Run) -> int | None:
    """The `stack_size` of the attempt that made its last epoch."""
    return session.scalars(
        select(Attempt.stack_size)
        .join(Epoch, (Epoch.run_id == Attempt.run_id) & (Epoch.attempt == Attempt.number))
        .where(Epoch.run_id == run.id, Epoch.epoch == run.epochs_done)
    ).one_or_none()


def _room(run: Run) -> int:
    gpu_memory = requests_of(run.spec).gpu_memory
    return MOST_BYTES if gpu_memory is None else min(MOST_BYTES, gpu_memory - CONTEXT_BYTES)
