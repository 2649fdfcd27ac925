"""The per-step series: float32 blocks in the database, arrays outside."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from ganlib.records import STEP_COLUMNS
from store.core.models import SeriesBlock

COLUMNS_VERSION = 2
COLUMNS: dict[int, tuple[str, ...]] = {
    1: ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake", "d_grad_norm", "g_grad_norm"),
    2: ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake", "d_grad_norm", "g_grad_norm", "d_auc"),
}
"""The columns of a block, by the version that the block was written with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """A series in fewer points: each stands for a run of consecutive steps."""

    first_step: NDArray[np.int64]
    """[m] the first step of each bucket."""
    mean: NDArray[np.float32]
    """[m, columns]; not finite where a step is not, so that a gap stays a gap."""
    minimum: NDArray[np.float32]
    """[m, columns] over the finite steps; NaN where there is none."""
    maximum: NDArray[np.float32]
    """[m, columns] over the finite steps; NaN where there is none."""


def pack(steps: NDArray[np.float32]) -> bytes:
    """[n, columns] as little-endian float32."""
    return np.ascontiguousarray(steps, dtype="<f4").tobytes()


def unpack(block: bytes, version: int = COLUMNS_VERSION) -> NDArray[np.float32]:
    """The steps of a block, [n, len(STEP_COLUMNS)]; NaN in columns that its version did not have."""
    columns = COLUMNS[version]
    stored = np.frombuffer(block, dtype="<f4").reshape(-1, len(columns))
    steps = np.full((len(stored), len(STEP_COLUMNS)), np.nan, np.float32)
    for index, name in enumerate(STEP_COLUMNS):
        if name in columns:
            steps[:, index] = stored[:, columns.index(name)]
    return steps


def read_columns(session: Session, run_id: str) -> tuple[str, ...]:
    """The columns that every block of the run has."""
    versions = session.scalars(select(SeriesBlock.columns).where(SeriesBlock.run_id == run_id).distinct()).all()
    return tuple(name for name in STEP_COLUMNS if all(name in COLUMNS[version] for version in versions))


def read_steps(session: Session, run_id: str, first: int = 0, last: int | None = None) -> NDArray[np.float32]:
    """Steps `first` up to but not including `last`, counted from 0: [n, len(STEP_COLUMNS)].

    n is smaller than `last - first` where the run has not come so far; None reads to the end.
    """
    query = select(SeriesBlock).where(
        SeriesBlock.run_id == run_id, SeriesBlock.first_step + SeriesBlock.num_steps > first
    )
    if last is not None:
        query = query.where(SeriesBlock.first_step < last)
    rows = session.scalars(query.order_by(SeriesBlock.first_step)).all()
    if not rows:
        return np.empty((0, len(STEP_COLUMNS)), np.float32)
    steps = np.concatenate([unpack(row.block, row.columns) for row in rows])
    start = rows[0].first_step
    return steps[max(first - start, 0) : None if last is None else max(last - start, 0)]


def downsample(steps: NDArray[np.float32], max_points: int, *, first_step: int = 0) -> Buckets:
    """At most `max_points` buckets of nearly equal length; `first_step` is the number of `steps[0]`."""
    total = len(steps)
    starts = np.arange(min(max_points, total), dtype=np.int64) * total // max(min(max_points, total), 1)
    if total == 0:
        return Buckets(first_step=starts, mean=steps, minimum=steps, maximum=steps)
    finite = np.isfinite(steps)
    counts = np.diff(starts, append=total)[:, None]
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, and means to be
        mean = np.add.reduceat(steps.astype(np.float64), starts, axis=0) / counts
    return Buckets(
        first_step=starts + first_step,
        mean=mean.astype(np.float32),
        minimum=np.fmin.reduceat(np.where(finite, steps, np.nan), starts, axis=0),
        maximum=np.fmax.reduceat(np.where(finite, steps, np.nan), starts, axis=0),
    )
