"""Small, valid things to put into a store."""

from datetime import timedelta
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from ganlib.diagnosis.verdict import Diagnosis, Evidence, Finding, Picture
from ganlib.records import STEP_COLUMNS, EpochEvaluation
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from store.core.models import Run
from store.runs.claims import Claim, claim
from store.runs.lifecycle import attempts, create
from store.runs.recording import EpochRecord

LEASE = timedelta(seconds=30)
STEPS = 4
SPEC: dict[str, Any] = {
    "dataset": {"name": "ring8", "size": 100},
    "generator": {"family": "mlp"},
    "discriminator": {"family": "mlp"},
    "training": {"epochs": 3, "steps_per_epoch": STEPS, "batch_size": 10},
}


def request(name: str | None = None, **settings: Any) -> RunRequest:
    """A request for a tiny run on points; `seed=3` or `**{"training.epochs": 2}` change its spec."""
    return RunRequest(spec=SPEC, name=name, set=settings)


def resolved(*requests: RunRequest) -> list[tuple[RunRequest, RunSpec]]:
    """Each request with its spec, as a batch takes them."""
    return [(r, r.resolve()) for r in requests]


def create_run(session: Session, name: str | None = None, *, priority: int = 0, key: str | None = None) -> Run:
    """A queued run."""
    wanted = request(name)
    return create(session, wanted, wanted.resolve(), priority=priority, idempotency_key=key)


def claim_run(session: Session, worker: str = "worker-1") -> Claim:
    """A queued run, claimed; made where none is queued."""
    claimed = claim(session, worker, LEASE)
    if claimed is None:
        create_run(session)
        return claim_run(session, worker)
    return claimed


def outcomes(session: Session, run_id: str) -> list[str]:
    """How the run's attempts ended, first to last."""
    return [attempt.outcome for attempt in attempts(session, run_id)]


def expire_lease(session: Session, run_id: str) -> None:
    """Makes the run's lease one that ended long ago."""
    session.execute(update(Run).where(Run.id == run_id).values(lease_expires_at=1.0))


def step_block(epoch: int, num_steps: int = STEPS) -> NDArray[np.float32]:
    """Steps whose values tell epoch, step and column."""
    steps = np.arange(num_steps)[:, None] + np.arange(len(STEP_COLUMNS)) / 10
    return (100 * epoch + steps).astype(np.float32)


def evaluation(epoch: int) -> EpochEvaluation:
    """An evaluation whose values name its epoch."""
    return EpochEvaluation(
        epoch=epoch,
        space="pixels",
        n_real=100,
        n_fake=100,
        n_subset=50,
        num_bins=2,
        values={"ndb_over_k": epoch / 10, "js": float("nan")},
        nulls={},
        shift={},
        bins=(),
    )


def diagnosis(epoch: int, *, collapse_since: int | None = None) -> Diagnosis:
    """Healthy, or a mode collapse first seen in that epoch."""
    if collapse_since is None:
        return Diagnosis(
            epoch=epoch, verdict="healthy", severity="none", findings=(), reason="all is well", ruleset="test-1"
        )
    finding = Finding(
        name="mode collapse",
        severity="severe",
        first_epoch=collapse_since,
        summary="alike",
        evidence=tuple(
            Evidence(
                signal=f"seen in the {picture}",
                value=0.01,
                threshold=0.25,
                comparison="<",
                first_epoch=epoch,
                last_epoch=epoch,
                source="made up",
                picture=picture,
            )
            for picture in get_args(Picture)
        ),
    )
    return Diagnosis(
        epoch=epoch, verdict="mode collapse", severity="severe", findings=(finding,), reason="alike", ruleset="test-1"
    )


def epoch_record(claimed: Claim, epoch: int, **changes: Any) -> EpochRecord:
    """What the claim's epoch leaves behind."""
    values: dict[str, Any] = {
        "run_id": claimed.run_id,
        "token": claimed.token,
        "attempt": claimed.attempt,
        "epoch": epoch,
        "first_step": (epoch - 1) * STEPS,
        "steps": step_block(epoch),
        "seconds": 1.5,
        "checkpoint": f"attempt-{claimed.attempt}-epoch-{epoch}.safetensors",
        "evaluations": (evaluation(0), evaluation(1)) if epoch == 1 else (evaluation(epoch),),
        "diagnosis": diagnosis(epoch),
    }
    return EpochRecord(**{**values, **changes})


def fill_runs(session: Session, run_id: str, number: int, *, first: int = 1, **values: str) -> None:
    """So many copies of a run, each a second older than the one before; the database itself makes them.

    `first`: the number of the first, where earlier calls have made some. `values`: columns that differ, as SQL.
    """
    last = first + number - 1
    if session.get_bind().dialect.name == "postgresql":
        id_of, numbers = "lpad(to_hex(n), 16, '0')", f"SELECT n FROM generate_series({first}, {last}) AS numbers(n)"
    else:
        id_of = "printf('%016x', n)"
        counted = f"SELECT {first} AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}"
        numbers = f"WITH RECURSIVE numbers AS ({counted}) SELECT n FROM numbers"
    own = {"id": id_of, "created_at": "created_at - n", "idempotency_key": "NULL", "name": "'name ' || n"} | values
    names = [column.name for column in Run.__table__.columns]
    columns = ", ".join(f'"{name}"' for name in names)
    selected = ", ".join(own.get(name, f'"{name}"') for name in names)
    session.execute(
        text(f"INSERT INTO runs ({columns}) SELECT {selected} FROM runs, ({numbers}) AS s WHERE id = :id"),
        {"id": run_id},
    )
