"""Claiming: the queued run whose turn it is becomes running, for one worker, with a lease and a new fencing token."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.orm import Session

from ganlib.spec.comparison import ComparisonSpec
from ganlib.spec.problems import in_words, problems_of
from ganlib.spec.run import RunSpec
from ganlib.spec.watched import LookSpec
from store.core.db import now
from store.core.models import Attempt, Kind, Run
from store.runs import events, stacks
from store.runs.endings import finish, is_out_of_time, time_out
from store.runs.leases import take
from store.scheduling import fair_share, quotas, workers
from store.scheduling.accounts import EQUAL, Sharing
from store.scheduling.fair_share import QueueHead
from store.scheduling.requirements import Place, requests_of, suits

AnySpec = RunSpec | ComparisonSpec | LookSpec
SPECS: dict[Kind, type[RunSpec] | type[ComparisonSpec] | type[LookSpec]] = {
    "training": RunSpec,
    "comparison": ComparisonSpec,
    "look": LookSpec,
}
"""What the spec of a run of each kind has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run that is ours until its lease expires."""

    run_id: str
    token: int
    attempt: int
    spec: AnySpec
    traceparent: str | None = None
    """The trace that it belongs to."""
    is_stacked: bool = False
    """Whether it is trained as a stack, with its fellows, or by itself where a stack has begun it."""
    fellows: tuple["Claim", ...] = ()
    """Further runs, ours likewise, that are trained together with it; those of a fellow are none."""


def claim(
    session: Session,
    worker: str,
    lease: timedelta,
    sharing: Sharing = EQUAL,
    place: Place | None = None,
    *,
    most_members: int = 1,
) -> Claim | None:
    """The queued run whose turn it is (see `fair_share`), for this worker alone; None without one that may run.

    With it, up to `most_members` in all, come others that can be trained together with it: see `stacks`.

    A drained worker is given none. A run whose stored spec no longer validates, or whose time is used up, is failed on
    the way. A run that the place could never take is left to others; for one that it has no room for now nothing else
    is claimed either, or those that need much would never be trained.
    """
    guards = (
        () if place is None else suits(most_gpus=place.most_gpus, largest_gpu=place.largest_gpu, labels=place.labels)
    )
    while not workers.is_drained(session, worker):
        with session.begin_nested() as savepoint:
            run = _claim_first(session, worker, lease, sharing, guards)
            if run is not None and place is not None and not place.takes(requests_of(run.spec)):
                savepoint.rollback()
                return None
        if run is None:
            return None
        _begin_attempts(session, [run], worker)
        try:
            spec = SPECS[run.kind].model_validate(run.spec)
        except ValidationError as error:  # stored by another version of this code: it must not block the queue
            problems = in_words(problems_of(error, SPECS[run.kind]))
            finish(session, run.id, run.token, "failed", error=problems, error_kind="InvalidSpec")
            continue
        if is_out_of_time(session, run):
            time_out(session, run.id, run.token)
            continue
        if not isinstance(spec, RunSpec):
            return _claim_on(run, spec)
        taken = stacks.take_fellows(session, run, spec, worker=worker, lease=lease, sharing=sharing, most=most_members)
        if not stacks.is_stacked(session, run, spec, most_members):
            return _claim_on(run, spec)
        size = 1 + len(taken)
        session.get_one(Attempt, (run.id, run.attempt)).stack_size = size
        _begin_attempts(session, [other for other, _ in taken], worker, stack_size=size)
        session.flush()
        fellows = tuple(_claim_on(*each, is_stacked=True) for each in taken)
        return _claim_on(run, spec, is_stacked=True, fellows=fellows)
    return None


def _begin_attempts(session: Session, runs: Sequence[Run], worker: str, *, stack_size: int | None = None) -> None:
    attempts = [
        {
            "run_id": run.id,
            "number": run.attempt,
            "token": run.token,
            "worker": worker,
            "outcome": "running",
            "stack_size": stack_size,
        }
        for run in runs
    ]
    if attempts:
        session.execute(insert(Attempt).values(started_at=now()), attempts)
        events.note_status(session, *runs)


def _claim_on(run: Run, spec: AnySpec, *, is_stacked: bool = False, fellows: tuple[Claim, ...] = ()) -> Claim:
    return Claim(
        run_id=run.id,
        token=run.token,
        attempt=run.attempt,
        spec=spec,
        traceparent=run.traceparent,
        is_stacked=is_stacked,
        fellows=fellows,
    )


def _claim_first(
    session: Session, worker: str, lease: timedelta, sharing: Sharing, guards: tuple[ColumnElement[bool], ...]
) -> Run | None:
    """The first run, by the order of their owners, that passes the guards and that no quota holds back."""
    waiting = fair_share.heads(session, sharing)
    while waiting:
        head, *waiting = waiting
        owner, run = head.use.owner, None
        if not quotas.holds_back(owner, sharing):
            run = _claim_oldest(session, head, worker, lease, guards)
        elif quotas.reached(session, owner, sharing) is None:
            with session.begin_nested() as savepoint:
                quotas.lock(
                    session, owner, sharing
                )  # of two claims at once, the second counts what the first has taken
                if quotas.reached(session, owner, sharing) is None:
                    run = _claim_oldest(session, head, worker, lease, guards)
                if run is None:
                    savepoint.rollback()  # lets the owners go: held while others are locked, two claims could deadlock
        if run is not None:
            return run
        # Held back by a quota, not for this worker, or claimed by somebody else since.
        lower = fair_share.below(session, head)
        waiting = waiting if lower is None else fair_share.merged(waiting, lower)
    return None


def _claim_oldest(
    session: Session, head: QueueHead, worker: str, lease: timedelta, guards: tuple[ColumnElement[bool], ...]
) -> Run | None:
    """The oldest run of the head's owner and priority that passes the guards; None where there is none any more."""
    oldest = (
        select(Run.id)
        .where(Run.status == "queued", Run.owner == head.use.owner.id, Run.priority == head.priority, *guards)
        .order_by(Run.created_at, Run.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # PostgreSQL only; on SQLite the transaction holds the one write lock
    )
    return take(session, worker, lease, Run.id == oldest.scalar_subquery())
