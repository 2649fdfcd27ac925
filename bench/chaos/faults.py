"""The faults. Each is done at once where it can be done now; what ends it is done later."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np

from bench.chaos.cluster import LEASE_S, Cluster, Worker
from bench.chaos.processes import send
from bench.chaos.submissions import ACCEPTED, Submissions
from store.core.settings import Settings
from store.operations.bell import ring

RINGS = 20
ASLEEP_S = (LEASE_S + 1.0, LEASE_S + 7.0)  # past the lease; the other worker notices once it is free
RUNNING = """
SELECT r.lease_worker, r.id, r.attempt, r.lease_expires_at,
       (SELECT count(*) FROM attempts a WHERE a.run_id = r.id AND a.outcome = 'lost')
FROM runs r WHERE r.status = 'running'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A run that was in training when a fault came."""

    run_id: str
    attempt: int
    leased_until: float
    """Seconds since 1970; the time of the fault, where nobody has to wait for the end of the lease."""
    ends_attempt: bool
    """Whether another attempt has to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A run that a worker trains."""

    run_id: str
    attempt: int
    leased_until: float
    """Seconds since 1970."""
    losses: int
    """Attempts of it that were lost so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A worker with the runs that it trains: several, where they are trained as one stack."""

    worker: Worker
    trainings: list[int]
    runs: Sequence[Held]

    def hits(self, at: float, *, waits_for_lease: bool, ends_attempt: bool = True) -> Sequence[Hit]:
        """By a fault: none of its runs is spared."""
        return [
            Hit(
                run_id=run.run_id,
                attempt=run.attempt,
                leased_until=max(at, run.leased_until) if waits_for_lease else at,
                ends_attempt=ends_attempt,
            )
            for run in self.runs
        ]


@dataclass(slots=True, kw_only=True)
class Scene:
    """What a fault may touch."""

    cluster: Cluster
    submissions: Submissions
    rng: np.random.Generator
    spared_losses: int
    """A run that has lost as many attempts is hit by no further fault: it is not to come to its cap by our doing."""
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list[tuple[float, Callable[[], None]]])
    """What is to be done, and when, in monotonic seconds."""

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Has it done later."""
        self.later.append((time.monotonic() + seconds, action))

    def do_what_is_due(self) -> None:
        """Does what was to be done by now."""
        now = time.monotonic()
        due = [action for at, action in self.later if at <= now]
        self.later = [(at, action) for at, action in self.later if at > now]
        for action in due:
            action()

    def target(self) -> Target | None:
        """Any worker that is awake and trains runs that may all be hit; None where there is none.

        Raises:
            DatabaseDown: the database does not answer.
        """
        running: dict[str, list[Held]] = {}
        for name, run_id, attempt, leased_until, losses in self.cluster.witness.rows(RUNNING):
            held = Held(run_id=run_id, attempt=attempt, leased_until=leased_until, losses=losses)
            running.setdefault(name, []).append(held)
        found: list[Target] = []
        for worker in self.cluster.workers:
            runs, trainings = running.get(worker.name, []), worker.trainings()
            if runs and trainings and not worker.is_asleep and all(self._may_be_hit(run) for run in runs):
                found.append(Target(worker=worker, trainings=trainings, runs=runs))
        return found[self.rng.integers(len(found))] if found else None

    def _may_be_hit(self, run: Held) -> bool:
        return run.losses < self.spared_losses and run.run_id not in self.submissions.crashing


Fault = Callable[[Scene], Sequence[Hit] | None]
"""Does it, if it can be done now: the runs that were hit. None: it cannot.

Raises DatabaseDown where the database does not answer: it cannot be done now, either.
"""


def kill_training(scene: Scene) -> Sequence[Hit] | None:
    """SIGKILL to a training process."""
    if (target := scene.target()) is None:
        return None
    send(signal.SIGKILL, *target.trainings)
    return target.hits(time.time(), waits_for_lease=False)


def kill_worker(scene: Scene) -> Sequence[Hit] | None:
    """SIGKILL to a worker that trains."""
    if (target := scene.target()) is None:
        return None
    target.worker.server.kill()
    return target.hits(time.time(), waits_for_lease=True)


def stop_worker(scene: Scene) -> Sequence[Hit] | None:
    """SIGSTOP to a worker, or to it and its training, until its lease is over and another may have taken the run."""
    if (target := scene.target()) is None:
        return None
    worker = target.worker
    trainings = target.trainings if scene.rng.random() < 0.5 else []
    asleep = [worker.server.pid, *trainings]
    send(signal.SIGSTOP, *asleep)
    worker.is_asleep = True

    def wake() -> None:
        send(signal.SIGCONT, *asleep)
        worker.is_asleep = False

    scene.after(scene.rng.uniform(*ASLEEP_S), wake)
    return target.hits(time.time(), waits_for_lease=bool(trainings), ends_attempt=False)


def deploy_worker(scene: Scene) -> Sequence[Hit] | None:
    """SIGTERM to a worker that trains, and a new one in its place at once."""
    if (target := scene.target()) is None:
        return None
    scene.cluster.leaving.append(target.worker.server.terminate())
    target.worker.server.start()
    return target.hits(time.time(), waits_for_lease=False)


def kill_api(scene: Scene) -> Sequence[Hit] | None:
    """SIGKILL to the API."""
    if not scene.cluster.api_answers():
        return None
    scene.cluster.api.kill()
    return []


def kill_broker(scene: Scene) -> Sequence[Hit] | None:
    """SIGKILL to the broker."""
    if not scene.cluster.broker_answers():
        return None
    scene.cluster.broker.kill()
    return []


def kill_database(scene: Scene) -> Sequence[Hit] | None:
    """SIGKILL to PostgreSQL, with all its processes."""
    assert scene.cluster.database is not None
    running = scene.cluster.witness.rows(RUNNING)
    if not running:
        return None
    scene.cluster.database.kill_all()
    at = time.time()
    return [Hit(run_id=row[1], attempt=row[2], leased_until=at, ends_attempt=False) for row in running]


def ring_often(scene: Scene) -> Sequence[Hit] | None:
    """Twenty bells for nothing."""
    if not scene.cluster.broker_answers():
        return None
    for _ in range(RINGS):
        ring(Settings(broker_url=scene.cluster.broker_url))
    return []


def flush_broker(scene: Scene) -> Sequence[Hit] | None:
    """All keys of the broker are gone, and with them who listens to what."""
    if not scene.cluster.broker_answers():
        return None
    scene.cluster.flush_broker()
    return []


def submit_without_broker(scene: Scene) -> Sequence[Hit] | None:
    """SIGKILL to the broker, and a submission at once: it has to be accepted."""
    if not (scene.cluster.broker_answers() and scene.cluster.api_answers()):
        return None
    scene.cluster.broker.kill()
    try:
        answer = scene.submissions.submit_one(scene.rng)
    except httpx.TransportError as error:
        answer = repr(error)
    if answer != ACCEPTED:
        scene.submissions.refused.append(f"without a broker, a submission was answered with {answer}")
    return []


def submit_crashing(scene: Scene) -> Sequence[Hit] | None:
    """A run whose process is killed each time: it has to fail by the cap, and take nothing else down."""
    scene.submissions.queue_crashing()
    return []


FAULTS: dict[str, Fault] = {
    "training killed": kill_training,
    "worker killed": kill_worker,
    "worker stopped past its lease": stop_worker,
    "worker deployed": deploy_worker,
    "API killed": kill_api,
    "broker killed": kill_broker,
    "database killed": kill_database,
    "bell rung 20 times": ring_often,
    "broker flushed": flush_broker,
    "submission without broker": submit_without_broker,
    "spec that crashes every time": submit_crashing,
}
RARE = {"spec that crashes every time": 4}
"""Of how many rounds such a fault is in one: it takes a worker as many attempts as the cap allows."""


def draw_faults(rng: np.random.Generator, count: int, kinds: Sequence[str]) -> list[str]:
    """So many kinds in a random order, in rounds that have each kind once, rare ones in some rounds alone."""
    drawn: list[str] = []
    round_number = 0
    while len(drawn) < count:
        kept = [kind for kind in kinds if round_number % RARE.get(kind, 1) == 0]
        drawn += [kept[index] for index in rng.permutation(len(kept))]
        round_number += 1
    return drawn[:count]
