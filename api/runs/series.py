"""The numbers of a run over its steps, thinned out to what a screen can show."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from api.deps import FoundRun, Reader
from api.errors import documented
from api.requests import SeriesQuery
from ganlib.records import STEP_COLUMNS
from ganlib.wire.epochs import ColumnView, SeriesView
from store.core.models import Run
from store.runs import records
from store.runs.series import Buckets, downsample, read_steps

COLUMNS = (*STEP_COLUMNS, "d_loss")

router = APIRouter(prefix="/runs/{run_id}/series", tags=["series"])


@router.get("", responses=documented(404, 422))
def get_series(run: FoundRun, session: Reader, query: Annotated[SeriesQuery, Query()]) -> SeriesView:
    """Read losses, accuracies and gradient norms, from `first_step` to `last_step`."""
    read = _steps if query.resolution == "step" else _epochs
    numbers, values = read(session, run, max(query.first_step, query.since + 1), query.last_step)
    points = downsample(values, query.max_points)
    steps = numbers[points.first_step]
    return SeriesView(
        resolution=query.resolution,
        steps_per_epoch=run.steps_per_epoch,
        steps=tuple(steps.tolist()),
        epochs=tuple(records.epochs_of_steps(session, run, steps).tolist()),
        columns={name: _column(points, index) for index, name in enumerate(COLUMNS)},
    )


Numbered = tuple[NDArray[np.int64], NDArray[np.float32]]


def _steps(session: Session, run: Run, first: int, last: int) -> Numbered:
    """Step numbers [n] and values [n, len(COLUMNS)]."""
    steps = read_steps(session, run.id, first - 1, last)
    real, fake = (steps[:, STEP_COLUMNS.index(name)] for name in ("d_loss_real", "d_loss_fake"))
    with np.errstate(invalid="ignore", over="ignore"):
        d_loss = real / 2 + fake / 2
    return np.arange(first, first + len(steps)), np.column_stack([steps, d_loss]).astype(np.float32)


def _epochs(session: Session, run: Run, first: int, last: int) -> Numbered:
    """First steps [n] of the epochs that have a step from `first` to `last`, and their means [n, len(COLUMNS)]."""
    rows = [e for e in records.epochs(session, run.id) if e.first_step < last and e.first_step + e.num_steps >= first]
    means = [[np.nan if row.means.get(name) is None else row.means[name] for name in COLUMNS] for row in rows]
    return np.array([row.first_step + 1 for row in rows], np.int64), np.array(means, np.float32).reshape(
        -1, len(COLUMNS)
    )


def _column(points: Buckets, index: int) -> ColumnView:
    return ColumnView(
        mean=_finite(points.mean[:, index]),
        min=_finite(points.minimum[:, index]),
        max=_finite(points.maximum[:, index]),
    )


def _finite(values: NDArray[np.float32]) -> tuple[float | None, ...]:
    finite = np.isfinite(values)
    if finite.all():
        return tuple(values.tolist())
    return tuple(
        value if is_finite else None for value, is_finite in zip(values.tolist(), finite.tolist(), strict=True)
    )
