import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine, select, update

from ganlib.spec.run import RunSpec
from store.core.db import now, transaction
from store.core.models import Attempt, Run
from store.runs import claims
from store.runs.lifecycle import attempts, get
from tests.support.store import LEASE, claim_run, create_run, outcomes

ROOT = Path(__file__).parents[3]


def test_a_claim_gives_the_spec_and_makes_the_run_ours(engine: Engine) -> None:
    with transaction(engine) as session:
        created = create_run(session)
    with transaction(engine) as session:
        claimed = claims.claim(session, "worker-1", LEASE)
    with transaction(engine) as session:
        run = get(session, created.id)
        clock = session.scalars(select(now())).one()
        (attempt,) = attempts(session, run.id)
    assert claimed is not None
    assert (claimed.run_id, claimed.token, claimed.attempt) == (created.id, 1, 1)
    assert isinstance(claimed.spec, RunSpec)
    assert claimed.spec.steps_per_epoch == run.steps_per_epoch
    assert (run.status, run.attempt, run.token, run.lease_worker) == ("running", 1, 1, "worker-1")
    assert run.lease_expires_at == pytest.approx(clock + 30, abs=5)
    assert run.started_at == pytest.approx(clock, abs=5)
    assert (attempt.number, attempt.token, attempt.worker, attempt.outcome) == (1, 1, "worker-1", "running")


def test_nothing_queued_gives_no_claim(engine: Engine) -> None:
    with transaction(engine) as session:
        assert claims.claim(session, "worker-1", LEASE) is None


def test_runs_are_claimed_by_priority_then_age(engine: Engine) -> None:
    with transaction(engine) as session:
        for name, priority, age_s in (("young", 0, 1), ("old", 0, 9), ("urgent", 5, 0), ("unimportant", -1, 60)):
            create_run(session, name, priority=priority).created_at -= age_s
    with transaction(engine) as session:
        claimed = [claim_run(session) for _ in range(4)]
        assert [get(session, c.run_id).name for c in claimed] == ["urgent", "old", "young", "unimportant"]


def test_claimers_at_once_never_get_the_same_run(engine: Engine) -> None:
    claimers, num_runs = 8, 24
    with transaction(engine) as session:
        expected = {create_run(session).id for _ in range(num_runs)}
    barrier = Barrier(claimers)

    def claim_until_empty(worker: int) -> list[str]:
        barrier.wait()
        claimed: list[str] = []
        while True:
            with transaction(engine) as session:
                ours = claims.claim(session, f"worker-{worker}", LEASE)
            if ours is None:
                return claimed
            claimed.append(ours.run_id)

    with ThreadPoolExecutor(claimers) as pool:
        claimed = [run_id for ours in pool.map(claim_until_empty, range(claimers)) for run_id in ours]
    assert sorted(claimed) == sorted(expected)
    with transaction(engine) as session:
        assert len(session.scalars(select(Attempt)).all()) == num_runs


CLAIM_UNTIL_EMPTY = """
import sys
from datetime import timedelta
from store.core.db import make_engine, transaction
from store.runs.claims import claim

engine = make_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while True:
    with transaction(engine) as session:
        claimed = claim(session, sys.argv[2], timedelta(seconds=30))
        if claimed is not None and sys.argv[2] == "doomed":
            print("claimed", flush=True)
            sys.stdin.readline()  # never comes
    if claimed is None:
        break
    print(claimed.run_id)
"""


def start_claimer(engine: Engine, worker: str) -> subprocess.Popen[str]:
    """A process that claims until nothing is queued once it is told to go, and prints the ids."""
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM_UNTIL_EMPTY, engine.url.render_as_string(hide_password=False), worker],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell_to_go(*claimers: subprocess.Popen[str]) -> None:
    """Lets all of them go at once, when the last is ready."""
    for claimer in claimers:
        assert claimer.stdout is not None
        assert claimer.stdout.readline() == "ready\n"
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()


def test_processes_that_claim_at_once_never_get_the_same_run(engine: Engine) -> None:
    with transaction(engine) as session:
        expected = [create_run(session).id for _ in range(40)]
    claimers = [start_claimer(engine, f"worker-{number}") for number in range(2)]
    tell_to_go(*claimers)
    claimed = [claimer.communicate(timeout=60)[0].split() for claimer in claimers]
    assert sorted(claimed[0] + claimed[1]) == sorted(expected)


def test_a_worker_killed_while_it_claims_leaves_the_run_in_the_queue(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
    doomed = start_claimer(engine, "doomed")
    tell_to_go(doomed)
    assert doomed.stdout is not None
    assert doomed.stdout.readline() == "claimed\n"
    doomed.kill()
    doomed.communicate()
    with transaction(engine) as session:
        deadline = time.monotonic() + 10
        while (claimed := claims.claim(session, "worker-2", LEASE)) is None:  # PostgreSQL hears of a death a bit later
            assert time.monotonic() < deadline
        assert (claimed.run_id, claimed.token, claimed.attempt) == (run_id, 1, 1)


def test_a_claim_waits_for_no_other_claim(postgres_engine: Engine) -> None:
    with transaction(postgres_engine) as session:
        for _ in range(2):
            create_run(session)
    with transaction(postgres_engine) as first, transaction(postgres_engine) as second:
        assert claim_run(first).run_id != claim_run(second).run_id


def test_a_run_whose_spec_no_longer_validates_fails_and_the_next_is_claimed(engine: Engine) -> None:
    with transaction(engine) as session:
        broken = create_run(session, priority=1)
        good = create_run(session)
        session.execute(update(Run).where(Run.id == broken.id).values(spec={"spec_version": 99}))
    with transaction(engine) as session:
        assert claim_run(session).run_id == good.id
        run = get(session, broken.id)
        assert (run.status, run.error_kind) == ("failed", "InvalidSpec")
        assert outcomes(session, run.id) == ["failed"]
