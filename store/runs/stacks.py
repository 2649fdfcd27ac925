"""Stacks: waiting runs of one owner that one training process trains together, where their specs allow it.

Who is claimed first is decided as ever (see `fair_share`). With it come further runs of its owner that have its
priority and its `stack_key`, oldest first: each is claimed by itself, with a lease and a token of its own, and counts
for quotas. Where none waits beside it such a run is a stack of one: its numbers are the same, bit by bit, whatever
waits. What a stack has begun goes on as a stack, also with a worker that trains each run alone; what was begun as a
run alone goes on so. A run whose last attempt was lost is trained without others: whichever of
them ended the process, the others are rid of it. Where the worker was lost with the attempt it was none of them.
"""

from collections.abc import Iterator
from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from ganlib.spec.checks.stacking import member_bytes, stack_key
from ganlib.spec.run import RunSpec
from store.core.models import Attempt, Epoch, Run
from store.runs.attempts import LEASE_EXPIRED
from store.runs.leases import take
from store.scheduling import quotas
from store.scheduling.accounts import Sharing
from store.scheduling.owners import Owner
from store.scheduling.requirements import requests_of

LOOK_AT = 128
"""Queued runs of the owner that are looked at."""
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
    taken: list[tuple[Run, RunSpec]] = []
    key = stack_key(spec) if most > 1 else None
    if key is None or not _may_be_joined(session, run, run.attempt - 1):
        return taken
    owner, room = Owner.of(run), _room(run) - member_bytes(spec)
    for other, other_spec in _waiting_beside(session, run, key):
        room -= member_bytes(other_spec)
        if room < 0 or len(taken) + 1 == most:
            break
        # its owners are locked since the first was claimed, where a quota may hold its runs back
        if quotas.holds_back(owner, sharing) and quotas.reached(session, owner, sharing) is not None:
            break
        free = select(Run.id).where(Run.id == other.id, Run.status == "queued").with_for_update(skip_locked=True)
        claimed = take(session, worker, lease, Run.id == free.scalar_subquery())
        if claimed is not None:
            taken.append((claimed, other_spec))
    return taken


def _waiting_beside(session: Session, run: Run, key: str) -> Iterator[tuple[Run, RunSpec]]:
    """The owner's queued runs of that key and priority that have made as many epochs, oldest first."""
    query = (
        select(Run)
        .where(
            Run.status == "queued",
            Run.owner == run.owner,
            Run.priority == run.priority,
            Run.kind == "training",
            Run.epochs_done == run.epochs_done,
            Run.steps_per_epoch == run.steps_per_epoch,
        )
        .order_by(Run.created_at, Run.id)
        .limit(LOOK_AT)
    )
    for other in session.scalars(query).all():
        try:
            spec = RunSpec.model_validate(other.spec)
        except ValidationError:  # for its own claim to tell
            continue
        if stack_key(spec) == key and _may_be_joined(session, other, other.attempt):
            yield other, spec


def _may_be_joined(session: Session, run: Run, last: int) -> bool:
    """Whether its last attempt, of that number, did not end its process, and its epochs so far were made in a stack."""
    attempt = session.get(Attempt, (run.id, last)) if last > 0 else None
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
