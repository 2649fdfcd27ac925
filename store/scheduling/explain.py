"""Why a run waits: what is claimed before it, what holds it back, and when it may begin.

The order is found by playing the claims: each run ahead of it takes the worker that is free first, for as long as runs
like it took, and counts for its owner. Whoever submits meanwhile can change it.
"""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import quantiles
from typing import Literal, NamedTuple, get_args

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import now
from store.core.models import Attempt, Run
from store.scheduling import quotas, workers
from store.scheduling.accounts import Sharing
from store.scheduling.fair_share import QueueHead, heads
from store.scheduling.owners import Owner
from store.scheduling.reasons import Reason, able_workers, which_workers
from store.scheduling.requirements import ResourceRequests, gpus_of_run, requests_of
from store.scheduling.workers import Worker

Quartile = Literal["low", "median", "high"]
QUARTILES: tuple[Quartile, ...] = get_args(Quartile)
LOOK_AT = 2000
"""Queued runs that are looked at; whoever stands further back learns that there are more."""
PAST_RUNS = 500
"""Finished runs whose paces are compared: those that ended last."""
TYPICAL_S = 600.0
"""Of a run, where nothing is known of any: only its order among others follows from it, no estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The quartiles of a duration, in seconds."""

    low: float
    median: float
    high: float

    def of(self, quartile: Quartile) -> float:
        """That quartile, in seconds."""
        return {"low": self.low, "median": self.median, "high": self.high}[quartile]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Why a run waits; nothing of it holds for one that does not."""

    ahead: int | None
    """Runs that would be claimed before it; None where it is not queued, or held back, or too far behind to tell."""
    reasons: tuple[Reason, ...]
    starts_in_s: Spread | None
    """From now; None: unknown."""
    takes_s: Spread | None
    """Its training from where it is, by runs of the same preset, data set and generator; None: none has finished."""
    compared_with: int
    """Finished runs that `takes_s` is taken from."""


class _Likeness(NamedTuple):
    preset: str | None
    dataset: str | None
    family: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queued:
    id: str
    owner: str
    priority: int
    created_at: float
    likeness: _Likeness
    steps_left: int
    gpus: int


_LIKENESS = (
    Run.preset,
    Run.spec["dataset"]["name"].as_string(),
    Run.spec["generator"]["family"].as_string(),
)


class _Paces:
    """Seconds a step of finished runs, by what they are like."""

    def __init__(self, session: Session) -> None:
        query = (
            select(*_LIKENESS, Run.finished_at - Run.started_at, Run.step)
            # Of one attempt: between two, a run may wait for hours.
            .where(Run.status == "succeeded", Run.attempt == 1, Run.step > 0)
            .order_by(Run.finished_at.desc())
            .limit(PAST_RUNS)
        )
        self._by_likeness: dict[_Likeness, list[float]] = defaultdict(list)
        self._durations: list[float] = []
        for preset, dataset, family, seconds, steps in session.execute(query):
            self._by_likeness[_Likeness(preset, dataset, family)].append(seconds / steps)
            self._durations.append(seconds)

    def count(self, likeness: _Likeness) -> int:
        return len(self._by_likeness[likeness])

    def duration(self, likeness: _Likeness, steps: int) -> Spread | None:
        """Of so many steps; None where no such run has finished."""
        spread = _spread(self._by_likeness[likeness])
        if spread is None:
            return None
        return Spread(low=spread.low * steps, median=spread.median * steps, high=spread.high * steps)

    def guess(self, likeness: _Likeness, steps: int) -> Spread | None:
        """As `duration`, or that of any run where none like it has finished."""
        return self.duration(likeness, steps) or _spread(self._durations)


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    low, median, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Spread(low=low, median=median, high=high)


def why_waiting(session: Session, run: Run, sharing: Sharing) -> Waiting:
    """Why the run waits, as far as the database knows."""
    paces = _Paces(session)
    (described,) = _queued(session, Run.id == run.id)
    likeness, steps_left = described.likeness, described.steps_left
    takes = None if run.status in FINAL_STATUSES else paces.duration(likeness, steps_left)
    about = Waiting(
        ahead=None, reasons=(), starts_in_s=None, takes_s=takes, compared_with=paces.count(likeness) if takes else 0
    )
    if run.status == "paused":
        return replace(about, reasons=(Reason(kind="paused", text="it is paused, and goes on once it is resumed"),))
    if run.status == "running":
        return replace(about, reasons=tuple(_together(session, run)))
    if run.status != "queued":
        return about
    known, needs = workers.list_workers(session), requests_of(run.spec)
    able, lack = able_workers([worker for worker in known if worker.is_alive], needs)
    obstacles = [*_quota(session, run, sharing), *_nobody(session, known, able, needs), *lack]
    if any(reason.kind == "quota" for reason in obstacles) or lack:
        return replace(about, reasons=tuple(obstacles))
    claiming = [worker for worker in able if not worker.is_drained]
    before, starts = _play_all(session, run, sharing, paces, claiming)
    reasons = [*obstacles, *_no_room(claiming), *_giving_way(session, run), *_those_ahead(run, before)]
    if claiming and all(worker.run_id for worker in claiming):
        reasons.append(Reason(kind="busy", text=_busy_words(len(claiming), needs)))
    ahead = None if before is None else len(before)
    return replace(about, ahead=ahead, reasons=tuple(reasons), starts_in_s=starts)


def _busy_words(workers_alive: int, needs: ResourceRequests) -> str:
    which = which_workers(needs)
    if workers_alive == 1:
        return f"the one worker{which} is training"
    return f"all {workers_alive} workers{which} are training"


def _queued(session: Session, *guards: ColumnElement[bool]) -> list[_Queued]:
    """The runs that pass every guard, as they stand in the queue; at most `LOOK_AT`."""
    columns = (Run.id, Run.owner, Run.priority, Run.created_at, Run.epochs_total, Run.epochs_done, Run.steps_per_epoch)
    query = (
        select(*columns, gpus_of_run(), *_LIKENESS).where(*guards).order_by(Run.priority.desc(), Run.created_at, Run.id)
    )
    return [
        _Queued(
            id=row[0],
            owner=row[1],
            priority=row[2],
            created_at=row[3],
            steps_left=(row[4] - row[5]) * row[6],
            gpus=row[7],
            likeness=_Likeness(*row[8:]),
        )
        for row in session.execute(query.limit(LOOK_AT))
    ]


def _quota(session: Session, run: Run, sharing: Sharing) -> list[Reason]:
    reached = quotas.reached(session, Owner.of(run), sharing)
    return [] if reached is None else [Reason(kind="quota", text=f"{reached}; it waits until there is room")]


def _no_room(claiming: Sequence[Worker]) -> list[Reason]:
    """What keeps workers that have nothing to do from claiming; the slots of one worker say the same."""
    texts = dict.fromkeys(worker.obstacle for worker in claiming if worker.obstacle is not None)
    return [Reason(kind="no room", text=text) for text in texts]


def _giving_way(session: Session, run: Run) -> list[Reason]:
    """What has to do with a higher priority: the run gave way to another, or another gives way to it."""
    found: list[Reason] = []
    last = session.get(Attempt, (run.id, run.attempt))
    if last is not None and last.outcome == "gave way":
        found.append(Reason(kind="gave way", text=f"it {last.error}, and goes on from its checkpoint"))
    other = session.scalars(select(Run.id).where(Run.gives_way_to == run.id)).one_or_none()
    if other is not None:
        found.append(Reason(kind="gives way", text=f"run {other} gives way to it at the end of its epoch"))
    return found


def _together(session: Session, run: Run) -> list[Reason]:
    """With how many others a running run is trained now: those that its slot holds, too."""
    attempt = session.get(Attempt, (run.id, run.attempt))
    if attempt is None or attempt.stack_size is None:
        return []
    held = select(func.count()).where(Run.status == "running", Run.lease_worker == run.lease_worker, Run.id != run.id)
    others = session.scalars(held).one()
    if others == 0:
        return []
    text = f"it trains together with {others} other{'s' if others > 1 else ''}, in one process and as one stack"
    return [Reason(kind="together", text=text)]


def _nobody(session: Session, known: Sequence[Worker], able: Sequence[Worker], needs: ResourceRequests) -> list[Reason]:
    """Why no worker claims anything, or none of those that are `able` to train it."""
    if workers.drained_since(session) is not None:
        return [Reason(kind="drained", text="the whole service is drained: nothing begins until the drain is ended")]
    if not any(worker.is_alive for worker in known):
        last = max((worker.seen_at for worker in known), default=None)
        if last is None:
            return [Reason(kind="no worker", text="no worker is alive, and none was heard of within a day; start one")]
        ago = session.scalars(select(now())).one() - last
        text = f"no worker is alive; {len(known)} known, the last was heard of {ago:.0f} s ago; start one"
        return [Reason(kind="no worker", text=text)]
    if able and all(worker.is_drained for worker in able):
        text = f"all workers{which_workers(needs)} that are alive ({len(able)}) are drained: they claim nothing more"
        return [Reason(kind="drained", text=text)]
    return []


def _those_ahead(run: Run, before: Sequence[_Queued] | None) -> list[Reason]:
    """How many runs are claimed before it, and why."""
    if before is None:
        return [Reason(kind="older", text=f"more than {LOOK_AT} runs are ahead of it")]
    by_priority = sum(other.priority > run.priority for other in before)
    older = sum(other.priority == run.priority and other.owner == run.owner for other in before)
    by_share = len(before) - by_priority - older
    found: list[Reason] = []
    if by_priority:
        found.append(Reason(kind="priority", text=f"{by_priority} queued with higher priority are claimed before it"))
    if by_share:
        text = f"{by_share} queued by users or teams that have used less are claimed before it"
        found.append(Reason(kind="share", text=text))
    if older:
        found.append(Reason(kind="older", text=f"{older} queued earlier by the same user are claimed before it"))
    return found


def _play_all(
    session: Session, run: Run, sharing: Sharing, paces: _Paces, claiming: Sequence[Worker]
) -> tuple[list[_Queued] | None, Spread | None]:
    """The runs that are claimed before this one, and in how many seconds it is; None where that is unknown."""
    first = heads(session, sharing)
    held = [
        head.use.owner.id
        for head in first
        if head.use.owner.id != run.owner and quotas.reached(session, head.use.owner, sharing) is not None
    ]
    taken = workers.could_train(claiming) | (Run.id == run.id)
    queue = _queued(session, Run.status == "queued", Run.priority >= run.priority, Run.owner.not_in(held), taken)
    played = [
        _play(run.id, queue, _Shares(first, sharing), paces, quartile, _clocks(session, paces, claiming, quartile))
        for quartile in QUARTILES
    ]
    starts = sorted(start for _, start in played if start is not None)
    before, _ = played[QUARTILES.index("median")]
    return before, Spread(low=starts[0], median=starts[1], high=starts[2]) if len(starts) == len(QUARTILES) else None


def _clocks(session: Session, paces: _Paces, claiming: Sequence[Worker], quartile: Quartile) -> list[float | None]:
    """In how many seconds each worker is free; None where nothing is known of its run, or something is in its way."""
    at = session.scalars(select(now())).one()
    busy = [worker.run_id for worker in claiming if worker.run_id is not None]
    runs = select(Run.id, Attempt.started_at).join(
        Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt)
    )
    started = {row[0]: row[1] for row in session.execute(runs.where(Run.id.in_(busy)))}
    idle = [worker for worker in claiming if worker.run_id is None]
    clocks: list[float | None] = [0.0 if worker.obstacle is None else None for worker in idle]
    for running in _queued(session, Run.id.in_(busy)):
        guess = paces.guess(running.likeness, running.steps_left)
        # Steps that are left are known of a training like others; of another, only how long it has lasted.
        spent = 0.0 if paces.count(running.likeness) else at - started[running.id]
        clocks.append(None if guess is None else max(0.0, guess.of(quartile) - spent))
    return clocks


def _play(
    run_id: str,
    queue: Sequence[_Queued],
    shares: "_Shares",
    paces: _Paces,
    quartile: Quartile,
    clocks: Sequence[float | None],
) -> tuple[list[_Queued] | None, float | None]:
    """The runs that are claimed before this one, and when it is claimed; None where that is unknown."""
    lines: dict[str, list[_Queued]] = defaultdict(list)
    for queued in reversed(queue):
        lines[queued.owner].append(queued)
    is_known = bool(clocks) and None not in clocks
    free = [clock or 0.0 for clock in clocks]
    heapq.heapify(free)
    before: list[_Queued] = []
    while any(lines.values()):
        queued = min((line[-1] for line in lines.values() if line), key=shares.rank)
        lines[queued.owner].pop()
        if queued.id == run_id:
            return before, free[0] if is_known else None
        before.append(queued)
        guess = paces.guess(queued.likeness, queued.steps_left)
        is_known = is_known and guess is not None
        seconds = TYPICAL_S if guess is None else guess.of(quartile)
        shares.add(queued.owner, seconds * queued.gpus)
        if free:
            heapq.heapreplace(free, free[0] + seconds)
    return None, None


class _Shares:
    """What owners have used, while the claims to come are played."""

    def __init__(self, known: Sequence[QueueHead], sharing: Sharing) -> None:
        self._owners = {head.use.owner.id: head.use.owner for head in known}
        self._users = {head.use.owner.id: head.user_share for head in known}
        self._teams = {self._team(head.use.owner.id): head.team_share for head in known}
        self._sharing = sharing

    def _team(self, owner: str) -> str:
        return self._owners[owner].team or owner

    def rank(self, queued: _Queued) -> tuple[float, float, float, float, str]:
        share = self._teams[self._team(queued.owner)]
        return -queued.priority, share, self._users[queued.owner], queued.created_at, queued.id

    def add(self, owner: str, device_seconds: float) -> None:
        whose = self._owners[owner]
        self._users[owner] += device_seconds / self._sharing.weight_of_user(whose.user)
        self._teams[self._team(owner)] += device_seconds / self._sharing.weight_of_team(whose)
