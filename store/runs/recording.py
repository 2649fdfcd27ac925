"""Recording: what an epoch leaves behind is written once, in one transaction, guarded by the fencing token."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, case, delete, select
from sqlalchemy.orm import Session

from ganlib.diagnosis.verdict import Diagnosis
from ganlib.records import STEP_COLUMNS, EpochEvaluation, LayerGradients, finite_json
from store.core.db import now
from store.core.errors import EpochOutOfOrder, LeaseLost
from store.core.models import (
    Artifact,
    ArtifactKind,
    Attempt,
    Base,
    DiagnosisRow,
    Epoch,
    EvaluationRow,
    Run,
    SeriesBlock,
)
from store.files.artifacts import StoredArtifact
from store.runs import events
from store.runs.endings import finish, outcome_of
from store.runs.leases import held, require_held, update_held, update_run
from store.runs.records import diagnosis
from store.runs.series import COLUMNS_VERSION, pack


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """Everything that one epoch leaves behind."""

    run_id: str
    token: int
    attempt: int
    epoch: int
    """From 1."""
    first_step: int
    """Steps made before this epoch."""
    steps: NDArray[np.float32]
    """[n, len(STEP_COLUMNS)]."""
    seconds: float
    """How long the epoch took."""
    checkpoint: str | None
    """File name; None where the epoch has none."""
    checkpoint_sha256: str | None = None
    """Of its content."""
    evaluations: tuple[EpochEvaluation, ...]
    """This epoch's, and with epoch 1 that of the untrained generator (epoch 0)."""
    diagnosis: Diagnosis
    gradients: tuple[LayerGradients, ...] = ()
    artifacts: Mapping[ArtifactKind, StoredArtifact] = field(default_factory=dict[ArtifactKind, StoredArtifact])
    watched: bool = False
    """Whether its trainer may have reported later steps already."""


def record_epoch(session: Session, record: EpochRecord) -> bool:
    """Adds an epoch with everything it leaves behind to the transaction, and counts it on the run; whether it was new.

    It is not where the same attempt has recorded it before: the answer of that commit was lost, and whatever else was
    in that transaction, the run's end with its last epoch, is there, too. Nothing is written then.

    Raises:
        LeaseLost: the token no longer holds the run; nothing was written.
        EpochOutOfOrder: the run's last epoch is not the one before; nothing was written.
    """
    step = record.first_step + len(record.steps)
    is_next = Run.epochs_done == record.epoch - 1
    try:
        reported = case((Run.step > step, Run.step), else_=step) if record.watched else step
        _move_to(session, record.run_id, record.token, record.epoch, reported, record.diagnosis, guard=is_next)
    except (LeaseLost, EpochOutOfOrder):
        # Looked for only now: the guarded UPDATE has waited for a commit that was still under way.
        if _has_recorded(session, record):
            return False
        raise
    session.add_all(_rows(record))
    events.note_epoch(session, record.run_id, record.attempt, record.diagnosis)
    return True


def _has_recorded(session: Session, record: EpochRecord) -> bool:
    """Whether the attempt of that token has recorded that epoch, and none after it."""
    query = (
        select(Epoch.epoch)
        .join(Attempt, and_(Attempt.run_id == Epoch.run_id, Attempt.number == Epoch.attempt))
        .join(Run, and_(Run.id == Epoch.run_id, Run.epochs_done == Epoch.epoch))
        .where(Epoch.run_id == record.run_id, Epoch.epoch == record.epoch, Attempt.token == record.token)
    )
    return session.scalars(query).one_or_none() is not None


def record_comparison(
    session: Session,
    run_id: str,
    token: int,
    evaluation: EpochEvaluation,
    artifacts: Mapping[ArtifactKind, StoredArtifact] | None = None,
) -> None:
    """Adds what a comparison found and its success to the transaction: its one epoch, without a diagnosis.

    Does nothing where the same attempt has done so before, and the answer of that commit was lost.

    Raises:
        LeaseLost: the token no longer holds the run; nothing was written.
    """
    try:
        update_held(session, run_id, token, epochs_done=1, step=1)
    except LeaseLost:
        if outcome_of(session, run_id, token) == "succeeded":
            return
        raise
    session.add(EvaluationRow(run_id=run_id, epoch=1, document=replace(evaluation, epoch=1).to_json()))
    session.add_all(_artifact_rows(run_id, 1, artifacts or {}))
    finish(session, run_id, token, "succeeded")


def _move_to(
    session: Session,
    run_id: str,
    token: int,
    epoch: int,
    step: int | ColumnElement[int],
    diagnosis: Diagnosis | None,
    *,
    guard: ColumnElement[bool],
) -> None:
    """Makes `epoch` the run's last, if the token holds the run and the guard lets it."""
    values = {"epochs_done": epoch, "step": step, **summary(diagnosis)}
    if update_run(session, *held(run_id, token), guard, **values) is None:
        run = require_held(session, run_id, token)
        raise EpochOutOfOrder(run_id, epoch, run.epochs_done)


def summary(diagnosis: Diagnosis | None) -> dict[str, Any]:
    """The columns of a run that say how it is."""
    if diagnosis is None:
        return {"verdict": None, "severity": None, "first_epoch_seen": None}
    return {
        "verdict": diagnosis.verdict,
        "severity": diagnosis.severity,
        "first_epoch_seen": diagnosis.findings[0].first_epoch if diagnosis.findings else None,
    }


def _rows(record: EpochRecord) -> list[Base]:
    of_run = {"run_id": record.run_id}
    of_epoch = {"run_id": record.run_id, "epoch": record.epoch}
    of_steps = {"first_step": record.first_step, "num_steps": len(record.steps)}
    return [
        Epoch(
            **of_epoch,
            **of_steps,
            attempt=record.attempt,
            means=column_means(record.steps),
            gradients=finite_json([asdict(g) for g in record.gradients]),
            seconds=record.seconds,
            checkpoint=record.checkpoint,
            checkpoint_sha256=record.checkpoint_sha256,
            recorded_at=now(),
        ),
        SeriesBlock(**of_run, **of_steps, columns=COLUMNS_VERSION, block=pack(record.steps)),
        diagnosis_row(record.run_id, record.diagnosis),
        *(EvaluationRow(**of_run, epoch=e.epoch, document=e.to_json()) for e in record.evaluations),
        *_artifact_rows(record.run_id, record.epoch, record.artifacts),
    ]


def diagnosis_row(run_id: str, diagnosis: Diagnosis) -> DiagnosisRow:
    """The row of a diagnosis of that run."""
    return DiagnosisRow(
        run_id=run_id,
        epoch=diagnosis.epoch,
        ruleset=diagnosis.ruleset,
        verdict=diagnosis.verdict,
        severity=diagnosis.severity,
        document=diagnosis.to_json(),
    )


def _artifact_rows(run_id: str, epoch: int, artifacts: Mapping[ArtifactKind, StoredArtifact]) -> list[Artifact]:
    return [
        Artifact(
            run_id=run_id,
            epoch=epoch,
            kind=kind,
            sha256=stored.sha256,
            media_type=stored.media_type,
            size=stored.size,
        )
        for kind, stored in artifacts.items()
    ]


def column_means(steps: NDArray[np.float32]) -> dict[str, float | None]:
    """The mean of each step column, and of `d_loss`; None where a step is not finite."""
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, and means to be
        means = steps.mean(axis=0, dtype=np.float64)
        by_name: dict[str, float] = dict(zip(STEP_COLUMNS, means.tolist(), strict=True))
        by_name["d_loss"] = (by_name["d_loss_real"] + by_name["d_loss_fake"]) / 2
    return finite_json(by_name)


def rewind(session: Session, run_id: str, token: int, epoch: int) -> None:
    """Forgets every epoch after `epoch` (0: all of them), for an attempt that starts there and records them again.

    Checkpoints may be rarer than epochs, so an attempt calls this before it trains, whatever it resumes from.

    Raises:
        LeaseLost: the token no longer holds the run; nothing was written.
        EpochOutOfOrder: the run has not come as far as `epoch`; nothing was written.
    """
    last = session.get(Epoch, (run_id, epoch))
    step = 0 if last is None else last.first_step + last.num_steps
    has_it = Run.epochs_done >= epoch
    _move_to(session, run_id, token, epoch, step, diagnosis(session, run_id, epoch), guard=has_it)
    session.execute(delete(SeriesBlock).where(SeriesBlock.run_id == run_id, SeriesBlock.first_step >= step))
    for table in (Epoch, DiagnosisRow, Artifact):
        session.execute(delete(table).where(table.run_id == run_id, table.epoch > epoch))
    kept = epoch if epoch > 0 else -1  # the untrained generator's evaluation comes with epoch 1
    session.execute(delete(EvaluationRow).where(EvaluationRow.run_id == run_id, EvaluationRow.epoch > kept))
