"""Are devices shared fairly, how long does a user with one run wait, and what does a claim cost?

    make bench-scheduling   # writes bench/results/scheduling.json

The simulation drives the store's own `create`, `claim` and `finish` on SQLite, whose clock is a simulated one: a week
of 8 workers, on which users whose runs last from 1 minute to 10 hours have always more queued, and a few submit one run
every 12 hours. `oldest first` is the same week without shares: all runs are one user's, to the store.

The cost is measured on PostgreSQL, with 10,000 queued runs of 50 users and 100,000 attempts of the past: of the claim
that takes the oldest run of the highest priority, of the present one, of the present one with quotas, of one that takes
up to 16 runs to be trained together (where all of an owner's are alike, and where none are), and of summing up what
users have used from the attempts of the last week instead of keeping it.
"""

import argparse
import heapq
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from bench import results
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from store.core.db import make_engine, transaction, upgrade
from store.core.models import Run
from store.runs import claims, endings, lifecycle
from store.scheduling.accounts import EQUAL, Quota, Sharing
from store.scheduling.owners import NOBODY_ELSE, Owner, ensure
from tests.support.servers import postgres

WORKERS = 8
WEEK_S = 7 * 24 * 3600.0
BACKLOGGED = 16
SINGLE = 4
SINGLE_EVERY_S = 12 * 3600.0
SINGLE_LASTS_S = 1800.0
SHORTEST_S, LONGEST_S = 60.0, 10 * 3600.0
BACKLOG = 4  # queued runs of each user at any time: more change nothing but the bench's own time
JULIAN_1970 = 2440587.5
BEGIN_S = 1.8e9  # of the simulated clock, in seconds since 1970
LONG_LEASE = timedelta(days=30)
QUEUED, USERS, PAST_RUNS, ATTEMPTS_EACH = 10_000, 50, 10_000, 10
CLAIMS = 300
STACKS = 100
MEMBERS = 16
REQUEST = RunRequest(
    spec={
        "dataset": {"name": "ring8", "size": 100},
        "generator": {"family": "mlp"},
        "discriminator": {"family": "mlp"},
        "training": {"epochs": 1, "steps_per_epoch": 1, "batch_size": 10},
    }
)
SPEC: RunSpec = REQUEST.resolve()


class Clock:
    """The simulated time, which SQLite takes for its own."""

    def __init__(self) -> None:
        self.now = BEGIN_S

    def _julian_day(self, _when: str) -> float:
        return JULIAN_1970 + self.now / 86400

    def attach(self, connection: Any, _record: Any) -> None:
        """Makes it the clock of a new connection."""
        connection.create_function("julianday", 1, self._julian_day)


@contextmanager
def simulated() -> Iterator[tuple[Engine, Clock]]:
    """A migrated SQLite database with a simulated clock."""
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        engine = make_engine(f"sqlite:///{Path(folder) / 'bench.db'}")
        event.listen(engine, "connect", clock.attach)
        upgrade(engine)
        yield engine, clock
        engine.dispose()


class Week:
    """One simulated week."""

    def __init__(self, engine: Engine, clock: Clock, *, fair: bool, seed: int) -> None:
        self._engine, self._clock, self._fair = engine, clock, fair
        self._rng = np.random.default_rng(seed)
        self._typical_s = np.geomspace(SHORTEST_S, LONGEST_S, BACKLOGGED)
        self._ending: list[tuple[float, str, int, str, float]] = []
        """(when, run, token, user, began)."""
        self._free = WORKERS
        self._submitted: dict[str, float] = {}
        self.used_s: dict[str, float] = defaultdict(float)
        self.waits_s: dict[str, list[float]] = defaultdict(list)
        self.claims = 0

    def play(self) -> None:
        """From Monday to Sunday."""
        users = [f"user-{index:02d}" for index in range(BACKLOGGED)]
        arrivals = [
            (BEGIN_S + float(self._rng.uniform(0, SINGLE_EVERY_S)) + turn * SINGLE_EVERY_S, f"single-{index}")
            for index in range(SINGLE)
            for turn in range(int(WEEK_S / SINGLE_EVERY_S) - 1)
        ]
        heapq.heapify(arrivals)
        for user in users:
            for _ in range(BACKLOG):
                self._submit(user)
        while True:
            self._fill(users)
            when = min(self._ending[0][0], arrivals[0][0] if arrivals else np.inf)
            if when > BEGIN_S + WEEK_S:
                break
            self._clock.now = float(when)
            if arrivals and arrivals[0][0] <= when:
                self._submit(heapq.heappop(arrivals)[1])
            else:
                self._finish()
        for _, _, _, user, began in self._ending:
            self.used_s[user] += BEGIN_S + WEEK_S - began

    def _submit(self, user: str) -> None:
        owner = Owner(user=user) if self._fair else NOBODY_ELSE
        with transaction(self._engine) as session:
            run = lifecycle.create(session, RunRequest(spec=REQUEST.spec, name=user), SPEC, owner=owner)
        self._submitted[run.id] = self._clock.now

    def _fill(self, users: list[str]) -> None:
        while self._free:
            with transaction(self._engine) as session:
                claim = claims.claim(session, f"worker-{self._free}", LONG_LEASE)
                if claim is None:
                    return
                user = str(session.get_one(Run, claim.run_id).name)
            self.claims += 1
            self.waits_s[user].append(self._clock.now - self._submitted[claim.run_id])
            lasts_s = self._duration(user, users)
            heapq.heappush(self._ending, (self._clock.now + lasts_s, claim.run_id, claim.token, user, self._clock.now))
            self._free -= 1
            if user in users:
                self._submit(user)

    def _duration(self, user: str, users: list[str]) -> float:
        if user not in users:
            return SINGLE_LASTS_S
        return float(self._typical_s[users.index(user)] * self._rng.uniform(0.8, 1.25))

    def _finish(self) -> None:
        when, run_id, token, user, began = heapq.heappop(self._ending)
        with transaction(self._engine) as session:
            endings.finish(session, run_id, token, "succeeded")
        self.used_s[user] += when - began
        self._free += 1


def jain(values: list[float]) -> float:
    """1 where all have the same, 1/n where one has everything."""
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


def simulate(*, fair: bool, seed: int = 0) -> dict[str, Any]:
    """What a week gave to each user."""
    with simulated() as (engine, clock):
        week = Week(engine, clock, fair=fair, seed=seed)
        started = time.perf_counter()
        week.play()
    backlogged = {user: used for user, used in week.used_s.items() if user.startswith("user")}
    singles = [wait for user, waits in week.waits_s.items() if user.startswith("single") for wait in waits]
    return {
        "jain": round(jain(list(backlogged.values())), 4),
        "device_hours": {user: round(used / 3600, 1) for user, used in sorted(backlogged.items())},
        "single_runs": len(singles),
        "single_wait_s": {"median": round(statistics.median(singles)), "longest": round(max(singles))},
        "claims": week.claims,
        "took_s": round(time.perf_counter() - started, 1),
    }


# --- the cost of a claim ----------------------------------------------------------------------------------------

OLDEST = """
UPDATE runs SET status = 'running', attempt = attempt + 1, token = token + 1 WHERE status = 'queued' AND id = (
    SELECT id FROM runs WHERE status = 'queued' ORDER BY priority DESC, created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING id
"""
SUMMED_UP = """
SELECT runs.owner, sum(
    exp(-ln(2) * (c.now - coalesce(ended_at, c.now)) / 86400) - exp(-ln(2) * (c.now - attempts.started_at) / 86400)
) * 86400 / ln(2)
FROM attempts JOIN runs ON runs.id = attempts.run_id,
    (SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision) AS now) AS c
WHERE attempts.started_at > c.now - 7 * 86400 GROUP BY runs.owner
"""


def fill(engine: Engine) -> None:
    """10,000 queued runs of 50 users, who have 100,000 attempts behind them."""
    with transaction(engine) as session:
        owners = [Owner(user=f"user-{index}", team=f"team-{index % 10}") for index in range(USERS)]
        for owner in owners:
            ensure(session, owner)
        template = lifecycle.create(session, REQUEST, SPEC, priority=-9)
        columns = ", ".join(c.name for c in Run.__table__.columns if c.name not in CHANGED)
        copy = text(COPY.format(columns=columns))
        kinds = (("queued", "a", QUEUED, 1), ("succeeded", "b", PAST_RUNS, 60))  # the past: a run a minute, for a week
        for status, prefix, number, apart_s in kinds:
            given = {"status": status, "prefix": prefix, "number": number, "apart_s": apart_s}
            session.execute(copy, {**given, "users": USERS, "id": template.id})
        session.execute(text(PAST), {"number": ATTEMPTS_EACH})
        session.execute(text("UPDATE owners SET device_seconds = 1000 * random()"))
        session.execute(text("DELETE FROM events"))
        session.execute(text("DELETE FROM runs WHERE priority = -9"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


CHANGED = {"id", "status", "user", "team", "owner", "priority", "created_at", "idempotency_key"}
COPY = """
INSERT INTO runs (id, status, "user", team, owner, priority, created_at, {columns})
SELECT :prefix || lpad(to_hex(n), 15, '0'), :status, 'user-' || n % :users, 'team-' || n % :users % 10,
    'team-' || n % :users % 10 || '/user-' || n % :users, 0, created_at - n * :apart_s, {columns}
FROM runs, generate_series(1, :number) AS n WHERE id = :id
"""
PAST = """
INSERT INTO attempts (run_id, number, token, worker, started_at, ended_at, outcome)
SELECT id, k, k, 'worker-1', created_at - 600000 * random(), created_at, 'succeeded'
FROM runs, generate_series(1, :number) AS k WHERE status = 'succeeded'
"""


def timed(engine: Engine, work: Callable[[Session], object], number: int = CLAIMS) -> dict[str, float]:
    """Milliseconds of a transaction that does it, in the order of calls."""
    times: list[float] = []
    for _ in range(number):
        started = time.perf_counter()
        with transaction(engine) as session:
            assert work(session) is not None
        times.append(1e3 * (time.perf_counter() - started))
    with transaction(engine) as session:  # thousands that run at once would be what the next one measures
        session.execute(text("UPDATE runs SET status = 'succeeded' WHERE status = 'running'"))
    return {"median": round(statistics.median(times), 2), "p95": round(float(np.quantile(times, 0.95)), 2)}


UNLIKE = """
UPDATE runs SET spec = jsonb_set(runs.spec::jsonb, '{generator,width}', to_jsonb(n))::json, stack_key = 'width ' || n
FROM (SELECT id, row_number() OVER (PARTITION BY owner) AS n FROM runs WHERE status = 'queued') AS numbered
WHERE numbered.id = runs.id
"""


def make_unlike(engine: Engine) -> None:
    """Gives each queued run of an owner networks of another width, so that no two can be trained together."""
    with transaction(engine) as session:
        session.execute(text(UNLIKE))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def claim_stack(session: Session) -> claims.Claim | None:
    """Claims up to 16 runs that are trained together."""
    return claims.claim(session, "worker-1", LONG_LEASE, EQUAL, most_members=MEMBERS)


def cost() -> dict[str, Any]:
    """Milliseconds a claim, on PostgreSQL, its commit included."""
    limited = Sharing(default_quota=Quota(running=10**6, device_hours=10**6))
    with postgres() as server, server.database() as url:
        engine = make_engine(url)
        upgrade(engine)
        fill(engine)
        found: dict[str, Any] = {
            "present": timed(engine, lambda session: claims.claim(session, "worker-1", LONG_LEASE, EQUAL)),
            "present, with quotas": timed(engine, lambda session: claims.claim(session, "w", LONG_LEASE, limited)),
            "up to 16 at once, all alike": timed(engine, claim_stack, STACKS),
            "summing up attempts alone": timed(engine, lambda session: session.execute(text(SUMMED_UP)).all(), 20),
        }
        make_unlike(engine)
        found["up to 16 at once, none alike"] = timed(engine, claim_stack, STACKS)
        with transaction(engine) as session:
            session.execute(text("CREATE INDEX ix_before ON runs (status, priority, created_at, id)"))
        found["oldest first, one statement"] = timed(engine, lambda session: session.execute(text(OLDEST)).one())
        engine.dispose()
    return found


def main() -> None:
    """Simulate, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("cost", "week"), help="measure this alone, print it and write nothing")
    options = parser.parse_args()
    if options.only == "cost":
        print(cost())
        return
    found: dict[str, Any] = {
        "workers": WORKERS,
        "backlogged_users": BACKLOGGED,
        "single_run_users": SINGLE,
        "fair": simulate(fair=True),
        "oldest_first": simulate(fair=False),
    }
    if options.only == "week":
        print(found)
        return
    found["claim_ms"] = {"queued": QUEUED, "users": USERS, "past_attempts": PAST_RUNS * ATTEMPTS_EACH, **cost()}
    print(results.write("scheduling", found))


if __name__ == "__main__":
    main()
