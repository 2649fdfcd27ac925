"""What a run has recorded, as the API, the diagnosis and a resume read it."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from ganlib.diagnosis.history import History
from ganlib.diagnosis.ruleset import ruleset_order
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.records import EpochEvaluation, LayerGradients
from store.core.models import Artifact, ArtifactKind, DiagnosisRow, Epoch, EvaluationRow, Run
from store.runs.series import read_columns, read_steps

GRADIENTS = TypeAdapter(LayerGradients)


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


def epochs_of_steps(session: Session, run: Run, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The epoch of each of these recorded steps [n], both numbered from 1. Epochs of watched runs differ in length."""
    if not run.watched:
        return (numbers - 1) // run.steps_per_epoch + 1
    starts = session.scalars(select(Epoch.first_step).where(Epoch.run_id == run.id).order_by(Epoch.epoch)).all()
    return np.searchsorted(np.array(starts, np.int64), numbers - 1, side="right").astype(np.int64)


def evaluations(session: Session, run_id: str, *, since: int = -1) -> list[EpochEvaluation]:
    """The run's evaluations after that epoch, in order; the first of all is that of epoch 0."""
    query = select(EvaluationRow.document).where(EvaluationRow.run_id == run_id, EvaluationRow.epoch > since)
    return [EpochEvaluation.from_json(document) for document in session.scalars(query.order_by(EvaluationRow.epoch))]


def diagnoses(session: Session, run_id: str, ruleset: str | None = None, *, since: int = -1) -> list[Diagnosis]:
    """The diagnosis after each epoch behind that one: by that ruleset, or each by the newest that has judged it."""
    query = _diagnosis_rows(run_id, ruleset).where(DiagnosisRow.epoch > since)
    rows = session.scalars(query.order_by(DiagnosisRow.epoch))
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


def artifacts(session: Session, run_id: str, kind: ArtifactKind, *, since: int = -1) -> list[Artifact]:
    """The run's artifacts of that kind after that epoch, in the order of their epochs."""
    query = select(Artifact).where(Artifact.run_id == run_id, Artifact.kind == kind, Artifact.epoch > since)
    return list(session.scalars(query.order_by(Artifact.epoch)))


def artifact(session: Session, run_id: str, kind: ArtifactKind, epoch: int) -> Artifact | None:
    """The run's artifact of that kind and epoch; None where there is none."""
    return session.get(Artifact, (run_id, kind, epoch))
