"""The chaos bench's own eyes: what it counts is 0 in good order, and each breach is seen, on both databases."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bench.chaos.invariants import INVARIANTS, RECOVERIES, count_breaches, count_other_weights, read_state
from bench.chaos.witness import PostgresWitness, SqliteWitness, Witness
from store.core.db import make_engine, transaction, upgrade
from store.core.models import Run
from store.files.artifacts import StoredArtifact
from store.runs import endings
from store.runs.claims import claim
from store.runs.recording import record_epoch
from tests.support.store import LEASE, claim_run, create_run, epoch_record, expire_lease

ORDER = dict.fromkeys(INVARIANTS, 0)
SAMPLES = StoredArtifact(sha256="ab" * 32, media_type="image/png", size=1)
BREACHES = {
    "a run is gone": ("lost", "UPDATE chaos_accepted SET run_id = 'gone' WHERE dies_after IS NULL"),
    "a run waits for ever": ("lost", "UPDATE runs SET status = 'queued', finished_at = NULL WHERE attempt = 2"),
    "a run that crashes has too many attempts": ("lost", "UPDATE chaos_accepted SET dies_after = 0"),
    "two attempts at once": ("executed_twice", "UPDATE attempts SET ended_at = ended_at + 9 WHERE number = 1"),
    "an attempt without an end": ("executed_twice", "UPDATE attempts SET ended_at = NULL WHERE outcome = 'lost'"),
    "a write after a claim": ("executed_twice", "UPDATE attempts SET started_at = 0, ended_at = 1"),
    "a token that does not grow": ("executed_twice", "UPDATE attempts SET token = 7"),
    "a run that nobody was told of": ("executed_twice", "DELETE FROM chaos_accepted"),
    "an epoch beyond the last": ("epochs_doubled", "UPDATE epochs SET epoch = 4 WHERE epoch = 3"),
    "an epoch written again": (
        "epochs_doubled",
        "INSERT INTO chaos_events SELECT * FROM chaos_events WHERE epoch = 2",
    ),
    "steps made twice": ("epochs_doubled", "UPDATE series SET num_steps = 5 WHERE first_step = 0"),
    "an epoch that is missing": ("epochs_missing", "DELETE FROM epochs WHERE epoch = 2"),
    "steps that are missing": ("epochs_missing", "DELETE FROM series WHERE first_step = 4"),
    "a diagnosis that is missing": ("epochs_missing", "DELETE FROM diagnoses WHERE epoch = 1"),
    "samples that are missing": ("epochs_missing", "DELETE FROM artifacts WHERE epoch = 3"),
    "an epoch of an attempt that is over": (
        "stale_writes",
        "UPDATE chaos_events SET newest = 2, holder = 2 WHERE epoch = 1",
    ),
    "an epoch of a run that is over": ("stale_writes", "UPDATE chaos_events SET status = 'succeeded' WHERE epoch = 1"),
    "another step": (
        "not_identical",
        "UPDATE series SET block = (SELECT s.block FROM series s WHERE s.run_id = series.run_id AND s.first_step = 0) "
        "WHERE run_id IN (SELECT run_id FROM chaos_accepted)",
    ),
    "another picture": ("not_identical", "UPDATE artifacts SET sha256 = run_id"),
}
"""What each plain statement breaks, among others perhaps."""


def end_undisturbed(engine: Engine) -> str:
    with transaction(engine) as session:
        claimed = claim_run(session)
    for epoch in range(1, 4):
        with transaction(engine) as session:
            record_epoch(session, epoch_record(claimed, epoch, artifacts={"samples": SAMPLES}))
    with transaction(engine) as session:
        endings.finish(session, claimed.run_id, claimed.token, "succeeded")
    return claimed.run_id


def end_after_a_loss(engine: Engine) -> str:
    """A run whose first attempt makes an epoch and then loses its lease."""
    with transaction(engine) as session:
        run_id = create_run(session).id
        first = claim(session, "worker-1", LEASE)
    assert first is not None
    with transaction(engine) as session:
        record_epoch(session, epoch_record(first, 1, artifacts={"samples": SAMPLES}))
        expire_lease(session, run_id)
    with transaction(engine) as session:
        endings.requeue_expired(session, 3)
    with transaction(engine) as session:
        second = claim(session, "worker-2", LEASE)
    assert second is not None
    for epoch in (2, 3):
        with transaction(engine) as session:
            record_epoch(session, epoch_record(second, epoch, artifacts={"samples": SAMPLES}))
    with transaction(engine) as session:
        endings.finish(session, run_id, second.token, "succeeded")
    return run_id


@pytest.fixture
def make_witness(database_url: str) -> Iterator[Callable[[], Witness]]:
    """Makes the witness of a database with an undisturbed run and one that had a loss."""
    engine = make_engine(database_url)
    upgrade(engine)
    path = database_url.removeprefix("sqlite:///")
    witness: Witness = SqliteWitness(path) if path != database_url else PostgresWitness(database_url)
    witness.attach()

    def make() -> Witness:
        reference, disturbed = end_undisturbed(engine), end_after_a_loss(engine)
        witness.insert("chaos_accepted", [(disturbed, reference, None)])
        with transaction(engine) as session:
            at = session.get_one(Run, disturbed).created_at
        witness.insert("chaos_hits", [(0, "worker killed", disturbed, 1, 1, at, at)])
        return witness

    yield make
    engine.dispose()


def test_every_breach_is_counted(make_witness: Callable[[], Witness], database_url: str):
    witness = make_witness()
    assert count_breaches(witness) == ORDER
    ((fault, kind, seconds, lease_s),) = witness.rows(RECOVERIES)
    assert (fault, kind, lease_s) == (0, "worker killed", 0)
    assert 0 < seconds < 60
    for what, (promise, statement) in BREACHES.items():
        assert count_after(database_url, statement, promise) > 0, what
    assert count_breaches(witness) == ORDER  # each breach was taken back


def count_after(database_url: str, statement: str, promise: str) -> int:
    """How often a promise is broken after that statement, which is rolled back."""
    engine = make_engine(database_url)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
        found = sum(connection.exec_driver_sql(query).scalar_one() for query in INVARIANTS[promise])
        connection.rollback()
    engine.dispose()
    return found


def test_a_write_without_the_lease_is_seen_by_the_database_itself(
    make_witness: Callable[[], Witness], database_url: str
):
    witness = make_witness()
    engine = make_engine(database_url)
    with engine.begin() as connection:  # as a worker would that forgot the guard
        columns = "first_step, num_steps, means, gradients, seconds, checkpoint, checkpoint_sha256, recorded_at"
        connection.exec_driver_sql(
            f"INSERT INTO epochs (run_id, epoch, attempt, {columns}) "
            f"SELECT e.run_id, 4, 1, {columns} FROM epochs e JOIN runs r ON r.id = e.run_id "
            "WHERE r.attempt = 2 AND e.epoch = 3"
        )
    engine.dispose()
    found = count_breaches(witness)
    assert found == ORDER | {"stale_writes": 1, "executed_twice": 1, "epochs_doubled": 1, "not_identical": 0}


def test_weights_are_compared_whatever_the_order_of_a_files_header(make_witness: Callable[[], Witness], tmp_path: Path):
    witness = make_witness()
    ((run, name, reference, reference_name),) = witness.rows(
        "SELECT c.run_id, e.checkpoint, c.reference_id, f.checkpoint FROM chaos_accepted c "
        "JOIN epochs e ON e.run_id = c.run_id AND e.epoch = 3 "
        "JOIN epochs f ON f.run_id = c.reference_id AND f.epoch = 3"
    )
    header = {"__metadata__": {"format": "1", "state": "{}"}, "w": {"dtype": "F32", "shape": [1]}}
    turned = {"w": header["w"], "__metadata__": {"state": "{}", "format": "1"}}
    write_state(tmp_path / run / name, header, b"\0\0\0\0")
    write_state(tmp_path / reference / reference_name, turned, b"\0\0\0\0")
    assert read_state(tmp_path / run / name) == (header, b"\0\0\0\0")
    assert count_other_weights(witness, tmp_path) == 0
    write_state(tmp_path / reference / reference_name, turned, b"\0\0\0\1")
    assert count_other_weights(witness, tmp_path) == 1


def write_state(path: Path, header: object, tensors: bytes) -> None:
    text = json.dumps(header).encode()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensors)
