"""What a list shows of its runs, in four queries however many they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES
from store.core.models import Artifact, Epoch, EvaluationRow, Run

Row = TypeVar("Row", Artifact, EvaluationRow)
POINTS = 40
NEWEST_EPOCHS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One run."""

    run: Run
    epochs: Sequence[Epoch]
    """At most `POINTS`, in order; the last one is among them."""
    samples: Artifact | None
    """The newest picture."""
    evaluation: EvaluationRow | None
    """The newest."""
    epoch_seconds: float | None
    """Median of the newest epochs."""

    @property
    def seconds_left(self) -> float | None:
        """How long the training takes yet; None where nobody knows, and where the run is over."""
        if self.epoch_seconds is None or self.run.status in FINAL_STATUSES:
            return None
        return self.epoch_seconds * max(0, self.run.epochs_total - self.run.epochs_done)


def glances(session: Session, run_ids: Sequence[str]) -> list[Glance]:
    """Those of the runs that are there, in the order of their ids."""
    ids = list(dict.fromkeys(run_ids))
    runs = {run.id: run for run in session.scalars(select(Run).where(Run.id.in_(ids), Run.kind == "training"))}
    epochs = _epochs(session, ids)
    pictures = _newest(Artifact, ids, Artifact.kind == "samples")
    samples = {row.run_id: row for row in session.scalars(pictures)}
    evaluations = {row.run_id: row for row in session.scalars(_newest(EvaluationRow, ids))}
    return [
        Glance(
            run=runs[run_id],
            epochs=_on_stride(epochs[run_id]),
            samples=samples.get(run_id),
            evaluation=evaluations.get(run_id),
            epoch_seconds=_epoch_seconds(epochs[run_id]),
        )
        for run_id in ids
        if run_id in runs
    ]


def _epochs(session: Session, ids: Sequence[str]) -> dict[str, list[Epoch]]:
    """Every nth epoch of each run, and its newest ones, in order."""
    stride = Run.epochs_done // (POINTS - 1) + 1
    is_shown = or_(Epoch.epoch % stride == 0, Epoch.epoch > Run.epochs_done - NEWEST_EPOCHS)
    query = select(Epoch).join(Run, Run.id == Epoch.run_id).where(Epoch.run_id.in_(ids), is_shown)
    found: dict[str, list[Epoch]] = {run_id: [] for run_id in ids}
    for epoch in session.scalars(query.order_by(Epoch.epoch)):
        found[epoch.run_id].append(epoch)
    return found


def _on_stride(epochs: Sequence[Epoch]) -> list[Epoch]:
    if not epochs:
        return []
    *earlier, last = epochs
    stride = last.epoch // (POINTS - 1) + 1
    return [*(epoch for epoch in earlier if epoch.epoch % stride == 0), last]


def _epoch_seconds(epochs: Sequence[Epoch]) -> float | None:
    newest = [epoch.seconds for epoch in epochs[-NEWEST_EPOCHS:]]
    return median(newest) if newest else None


def _newest(rows: type[Row], ids: Sequence[str], *which: ColumnElement[bool]) -> Select[Row]:
    """Of each run the rows of the last epoch that has any such."""
    last = select(rows.run_id, func.max(rows.epoch)).where(rows.run_id.in_(ids), *which).group_by(rows.run_id)
    return select(rows).where(tuple_(rows.run_id, rows.epoch).in_(last), *which)
