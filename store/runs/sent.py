"""What the trainer of a watched run has sent, as the diagnosis reads it."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from ganlib.foreign_logs.watched import Sent
from ganlib.spec.watched import WatchedSpec
from ganlib.step_blocks import ABSENT, decode
from store.core.models import Run, WatchedBlock, WatchedEpoch


def sent_by(session: Session, run: Run, epoch: int) -> Sent:
    """Everything that was sent by the end of an epoch."""
    ends = ends_of(session, run.id, epoch)
    assert ends is not None, "the epoch was recorded"
    return read_sent(session, run, ends)


def ends_of(session: Session, run_id: str, epoch: int) -> list[int] | None:
    """Steps by the end of each epoch up to that one; None where it has not come."""
    query = select(WatchedEpoch.steps).where(WatchedEpoch.run_id == run_id, WatchedEpoch.epoch <= epoch)
    found = list(session.scalars(query.order_by(WatchedEpoch.epoch)))
    return found if len(found) == epoch else None


def names_sent(session: Session, run_id: str) -> dict[str, None]:
    """The names in all blocks of the run, each once, as keys: read from every block."""
    query = select(WatchedBlock.block).where(WatchedBlock.run_id == run_id).order_by(WatchedBlock.sequence)
    blocks = session.scalars(query, execution_options={"yield_per": 100})
    return {name: None for block in blocks for name in decode(block)[0]}


def read_sent(session: Session, run: Run, ends: list[int]) -> Sent:
    """Everything that was sent by the last of these ends of epochs."""
    spec = WatchedSpec.model_validate(run.spec)
    query = select(WatchedBlock.first_step, WatchedBlock.block).where(
        WatchedBlock.run_id == run.id, WatchedBlock.first_step < ends[-1]
    )
    columns: dict[str, NDArray[np.float64]] = {}
    for first, block in session.execute(query.order_by(WatchedBlock.sequence)):
        names, values = decode(block)
        for name, column in zip(names, values.T[:, : ends[-1] - first], strict=True):
            if name not in columns:
                columns[name] = np.full(ends[-1], ABSENT)
            columns[name][first : first + len(column)] = column
    return Sent(columns=columns, ends=ends, objective=spec.objective.name, epochs_total=spec.epochs)
