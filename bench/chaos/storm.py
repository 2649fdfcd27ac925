"""One storm: undisturbed runs, then fault after fault while runs are trained, then what is left comes to its end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.chaos.cluster import Backend, Cluster, cluster
from bench.chaos.faults import FAULTS, Hit, Scene, draw_faults
from bench.chaos.invariants import RECOVERIES, count_breaches, count_other_weights
from bench.chaos.specs import EPOCHS, SPECS
from bench.chaos.submissions import Submissions
from bench.chaos.witness import DatabaseDown

LOOK_INTERVAL_S = 0.1
KINDS: dict[Backend, tuple[str, ...]] = {
    "postgresql": tuple(FAULTS),
    "sqlite": tuple(kind for kind in FAULTS if kind != "database killed"),  # it has no process
}
UNFINISHED = "SELECT count(*) FROM runs WHERE status NOT IN ('succeeded', 'failed', 'cancelled', 'halted')"
ENDED = "SELECT id, status, error FROM runs WHERE status IN ('failed', 'cancelled', 'halted')"
LEASES_EXPIRED = "SELECT count(*) FROM attempts WHERE error LIKE '%stopped renewing its lease'"
ATTEMPTS = "SELECT outcome, count(*) FROM attempts GROUP BY outcome ORDER BY outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How hard it is."""

    faults: int
    seed: int
    max_attempts: int = 6
    specs: int = len(SPECS)
    """How many of `SPECS` are trained, from the first on."""
    epochs: int = EPOCHS
    """Of each run."""
    unfinished: int = 4
    """Runs that are queued or trained at any time."""
    pause_s: tuple[float, float] = (1.0, 4.0)
    """Between two faults, at least and at most."""
    patience_s: float = 300.0
    """To a moment in which a fault can be done, and after the last one to the end of all runs."""


class Stuck(RuntimeError):
    """Nothing that a fault could hit was to be found for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A fault that was done."""

    kind: str
    at: float
    """When it was done, in seconds since 1970."""
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How long a run that was hit made no progress."""

    kind: str
    """The fault."""
    seconds: float
    lease_s: float
    """For how long of these the lease of the attempt that was hit still lasted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a storm."""

    figures: dict[str, Any]
    """Faults, runs, breaches, and quantiles of the recoveries."""
    recoveries: Sequence[Recovery]


def rage(backend: Backend, plan: Plan, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """What came of so many faults.

    Raises:
        Stuck: the service trains no more.
    """
    began = time.monotonic()
    with cluster(backend, plan.max_attempts) as made:
        storm = _Storm(made, plan)
        references = storm.train_undisturbed()
        done: list[Done] = []
        for kind in draw_faults(storm.rng, plan.faults, KINDS[backend]):
            done.append(storm.do_next(kind))
            say(f"{time.monotonic() - began:6.1f} s, {len(done)} of {plan.faults}: {kind}")
        storm.settle()
        _tell(made, storm.submissions, references, done, plan)
        recoveries = [Recovery(kind=row[1], seconds=row[2], lease_s=row[3]) for row in made.witness.rows(RECOVERIES)]
        figures = summarise(made, storm.submissions, done, recoveries)
    return Outcome(figures=figures | {"seconds": round(time.monotonic() - began)}, recoveries=recoveries)


class _Storm:
    """Drives one cluster, from the main thread alone."""

    def __init__(self, made: Cluster, plan: Plan) -> None:
        self._cluster, self._plan = made, plan
        self.rng = np.random.default_rng(plan.seed)
        self.submissions = Submissions(made, plan.specs, plan.epochs)
        self._scene = Scene(
            cluster=made, submissions=self.submissions, rng=self.rng, spared_losses=plan.max_attempts // 2
        )

    def train_undisturbed(self) -> list[str]:
        """The ids of runs that nothing happened to, one a spec; they are no part of what is counted."""
        for spec in range(self._plan.specs):
            self.submissions.queue(spec)
        self.settle()
        references = [run.run_id for run in self.submissions.accepted]
        self.submissions.accepted.clear()
        return references

    def do_next(self, kind: str) -> Done:
        """Does a fault after a pause, as soon as it can be done.

        Raises:
            Stuck: it never could.
        """
        self._attend(self.rng.uniform(*self._plan.pause_s))
        deadline = time.monotonic() + self._plan.patience_s
        while time.monotonic() < deadline:
            try:
                hits = FAULTS[kind](self._scene)
            except DatabaseDown:
                hits = None
            if hits is not None:
                return Done(kind=kind, at=time.time(), hits=hits)
            self._attend(LOOK_INTERVAL_S)
        raise Stuck(f"for {self._plan.patience_s:.0f} s there was no moment for the fault '{kind}'")

    def settle(self) -> None:
        """Lets all that was submitted come to its end; what has not after a while is lost."""
        deadline = time.monotonic() + self._plan.patience_s
        while time.monotonic() < deadline and not self._is_calm():
            self._look_after()
            self.submissions.send()
            time.sleep(LOOK_INTERVAL_S)

    def _is_calm(self) -> bool:
        return not self._scene.later and not self.submissions.num_waiting and self._count_unfinished() == 0

    def _attend(self, seconds: float) -> None:
        """Keeps servers alive and workers busy for so long."""
        until = time.monotonic() + seconds
        while True:
            self._look_after()
            unfinished = self._count_unfinished()
            if unfinished is not None and unfinished + self.submissions.num_waiting < self._plan.unfinished:
                self.submissions.queue_any(self.rng)
            self.submissions.send()
            if time.monotonic() >= until:
                return
            time.sleep(LOOK_INTERVAL_S)

    def _look_after(self) -> None:
        self._scene.do_what_is_due()
        self._cluster.revive()

    def _count_unfinished(self) -> int | None:
        """None where the database does not answer."""
        try:
            return int(self._cluster.witness.rows(UNFINISHED)[0][0])
        except DatabaseDown:
            return None


def _tell(made: Cluster, submissions: Submissions, references: list[str], done: Sequence[Done], plan: Plan) -> None:
    """Puts beside the database's own tables what only we know."""
    accepted = [
        (run.run_id, None, plan.max_attempts) if run.spec is None else (run.run_id, references[run.spec], None)
        for run in submissions.accepted
    ]
    made.witness.insert("chaos_accepted", [*accepted, *((run, run, None) for run in references)])
    hits = [
        (number, fault.kind, hit.run_id, hit.attempt, int(hit.ends_attempt), fault.at, hit.leased_until)
        for number, fault in enumerate(done)
        for hit in fault.hits
    ]
    made.witness.insert("chaos_hits", hits)


def summarise(
    made: Cluster, submissions: Submissions, done: Sequence[Done], recoveries: Sequence[Recovery]
) -> dict[str, Any]:
    """Faults, runs, breaches and recovery times of one backend."""
    crashing = submissions.crashing
    ended = [(run, f"{run}: {status}: {error}") for run, status, error in made.witness.rows(ENDED)]
    hits = sum(len(fault.hits) for fault in done)
    kinds = sorted({fault.kind for fault in done})
    of_kind = {kind: [one for one in recoveries if one.kind == kind] for kind in kinds}
    return {
        "faults": len(done),
        "runs": len(submissions.accepted),
        **count_breaches(made.witness),
        "other_weights": count_other_weights(made.witness, made.checkpoints),
        "refused": len(submissions.refused),
        **recovery(recoveries),
        "hits": hits,
        "hits_without_progress": hits - len(recoveries),
        "runs_made_to_crash": len(crashing),
        "leases_expired": int(made.witness.rows(LEASES_EXPIRED)[0][0]),
        "attempts": {outcome: int(count) for outcome, count in made.witness.rows(ATTEMPTS)},
        "fault_kinds": {kind: sum(fault.kind == kind for fault in done) for kind in kinds},
        "recovery_by_fault": {kind: recovery(ones) for kind, ones in of_kind.items() if ones},
        "breaches": [*submissions.refused, *(text for run, text in ended if run not in crashing)],
    }


def recovery(recoveries: Sequence[Recovery]) -> dict[str, float | int | None]:
    """How many runs that were hit went on, and after how long: as a whole, and from the end of the lease on."""
    whole = [one.seconds for one in recoveries]
    rest = [max(0.0, one.seconds - one.lease_s) for one in recoveries]
    return {
        "recoveries": len(recoveries),
        "recovery_p50_s": _quantile(whole, 0.5),
        "recovery_p95_s": _quantile(whole, 0.95),
        "recovery_without_lease_p50_s": _quantile(rest, 0.5),
        "recovery_without_lease_p95_s": _quantile(rest, 0.95),
    }


def _quantile(seconds: Sequence[float], share: float) -> float | None:
    return round(float(np.quantile(seconds, share)), 2) if seconds else None
