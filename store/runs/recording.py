"""What a run has recorded: written once an epoch in one transaction, read by the API, the diagnosis and a resume."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.orm import Session

from ganlib.diagnosis.history import History
from ganlib.diagnosis.ruleset import ruleset_order
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.records import STEP_COLUMNS, EpochEvaluation, LayerGradients, finite_json
from store.core.db import now
from store.core.errors import EpochOutOfOrder
from store.core.models import Artifact, ArtifactKind, Base, DiagnosisRow, Epoch, EvaluationRow, Run, SeriesBlock
from store.files.artifacts import StoredArtifact
from store.runs.leases import finish, held, require_held, update_held, update_run
from store.runs.series import COLUMNS_VERSION, pack, read_columns, read_steps

GRADIENTS = TypeAdapter(LayerGradients)


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


def record_epoch(session: Session, record: EpochRecord) -> None:
    """Adds an epoch with everything it leaves behind to the transaction, and counts it on the run.

    Raises:
        LeaseLost: the token no longer holds the run; nothing was written.
        EpochOutOfOrder: the run's last epoch is not the one before; nothing was written.
    """
    step = record.first_step + len(record.steps)
    is_next = Run.epochs_done == record.epoch - 1
    _move_to(session, record.run_id, record.token, record.epoch, step, record.diagnosis, guard=is_next)
    session.add_all(_rows(record))
    session.flush()


def record_comparison(
    session: Session,
    run_id: str,
    token: int,
    evaluation: EpochEvaluation,
    artifacts: Mapping[ArtifactKind, StoredArtifact] | None = None,
) -> None:
    """Adds what a comparison found and its success to the transaction: its one epoch, without a diagnosis.

    Raises:
        LeaseLost: the token no longer holds the run; nothing was written.
    """
    update_held(session, run_id, token, epochs_done=1, step=1)
    session.add(EvaluationRow(run_id=run_id, epoch=1, document=replace(evaluation, epoch=1).to_json()))
    session.add_all(_artifact_rows(run_id, 1, artifacts or {}))
    finish(session, run_id, token, "succeeded")


def _move_to(
    session: Session,
    run_id: str,
    token: int,
    epoch: int,
    step: int,
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


def last_checkpoint(session: Session, run_id: str) -> tuple[int, str] | None:
    """The last epoch with a checkpoint, and the checkpoint's file name; None without one."""
    query = select(Epoch.epoch, Epoch.checkpoint).where(Epoch.run_id == run_id, Epoch.checkpoint.is_not(None))
    row = session.execute(query.order_by(Epoch.epoch.desc()).limit(1)).one_or_none()
    return None if row is None else (row[0], str(row[1]))


def hash_of_checkpoint(session: Session, run_id: str, checkpoint: str) -> str | None:
    """The hash of that file of the run; None where it is not known."""
    query = select(Epoch.checkpoint_sha256).where(Epoch.run_id == run_id, Epoch.checkpoint == checkpoint)
    return session.scalars(query.limit(1)).one_or_none()


def history(session: Session, run_id: str) -> History:
    """Everything that a training has recorded, with its last diagnosis as `previous`."""
    run = session.get_one(Run, run_id)
    return History(
        objective=run.spec["objective"]["name"],
        steps_per_epoch=run.steps_per_epoch,
        epochs_total=run.epochs_total,
        steps=read_steps(session, run_id),
        columns=read_columns(session, run_id),
        evaluations=tuple(evaluations(session, run_id)),
        gradients=tuple(gradients(session, run_id)),
        previous=diagnosis(session, run_id),
    )


def gradients(session: Session, run_id: str) -> list[LayerGradients]:
    """How hard each layer was pulled, in order of steps."""
    return [GRADIENTS.validate_python(document) for epoch in epochs(session, run_id) for document in epoch.gradients]


def epochs(session: Session, run_id: str) -> list[Epoch]:
    """The run's epochs, in order."""
    return list(session.scalars(select(Epoch).where(Epoch.run_id == run_id).order_by(Epoch.epoch)))


def evaluations(session: Session, run_id: str) -> list[EpochEvaluation]:
    """The run's evaluations, in order; the first is that of epoch 0."""
    query = select(EvaluationRow.document).where(EvaluationRow.run_id == run_id).order_by(EvaluationRow.epoch)
    return [EpochEvaluation.from_json(document) for document in session.scalars(query)]


def diagnoses(session: Session, run_id: str, ruleset: str | None = None) -> list[Diagnosis]:
    """The run's diagnosis after each epoch, in order: by that ruleset, or each by the newest that has judged it."""
    rows = session.scalars(_diagnosis_rows(run_id, ruleset).order_by(DiagnosisRow.epoch))
    of_epochs = (list(of_epoch) for _, of_epoch in groupby(rows, lambda row: row.epoch))
    return [Diagnosis.from_json(_newest(of_epoch).document) for of_epoch in of_epochs]


def diagnosis(session: Session, run_id: str, epoch: int | None = None, ruleset: str | None = None) -> Diagnosis | None:
    """The diagnosis after that epoch, by default after the last, by that ruleset, by default by the newest; or None."""
    query = _diagnosis_rows(run_id, ruleset)
    if epoch is None:
        epoch = session.scalar(query.with_only_columns(func.max(DiagnosisRow.epoch)))
    rows = session.scalars(query.where(DiagnosisRow.epoch == epoch)).all()
    return Diagnosis.from_json(_newest(rows).document) if rows else None


def rulesets(session: Session, run_id: str) -> list[str]:
    """The rulesets that have judged an epoch of the run, old to new."""
    query = select(DiagnosisRow.ruleset).where(DiagnosisRow.run_id == run_id).distinct()
    return sorted(session.scalars(query), key=ruleset_order)


def _diagnosis_rows(run_id: str, ruleset: str | None) -> Select[DiagnosisRow]:
    query = select(DiagnosisRow).where(DiagnosisRow.run_id == run_id)
    return query if ruleset is None else query.where(DiagnosisRow.ruleset == ruleset)


def _newest(rows: Sequence[DiagnosisRow]) -> DiagnosisRow:
    """That of the newest ruleset; neither database can sort their names by age."""
    return max(rows, key=lambda row: ruleset_order(row.ruleset))


def artifacts(session: Session, run_id: str, kind: ArtifactKind) -> list[Artifact]:
    """The run's artifacts of that kind, in the order of their epochs."""
    query = select(Artifact).where(Artifact.run_id == run_id, Artifact.kind == kind)
    return list(session.scalars(query.order_by(Artifact.epoch)))


def artifact(session: Session, run_id: str, kind: ArtifactKind, epoch: int) -> Artifact | None:
    """The run's artifact of that kind and epoch; None where there is none."""
    return session.get(Artifact, (run_id, kind, epoch))
