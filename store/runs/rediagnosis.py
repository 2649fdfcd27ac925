"""Stored runs diagnosed again, by the ruleset of this code. What earlier rulesets said stays beside it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pydantic import ValidationError
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from ganlib.diagnosis.history import History
from ganlib.diagnosis.replay import replay
from ganlib.diagnosis.thresholds import RULESET
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.foreign_logs.watched import Sent, judge
from ganlib.records import EpochEvaluation
from ganlib.spec.run import RunSpec
from ganlib.wire.statuses import FINAL_STATUSES
from store.core.db import reading, transaction
from store.core.errors import RunNotOver
from store.core.models import DiagnosisRow, Run
from store.runs import lifecycle, recording, records
from store.runs.leases import update_run
from store.runs.sent import sent_by


def rediagnose(engine: Engine, run_id: str) -> Diagnosis | None:
    """This ruleset's diagnosis of a run that is over, after its last epoch; None where it has no epochs.

    Where it is missing, every epoch is judged anew, from the first. No transaction is open meanwhile: it may take
    seconds, and a run that is over never changes.

    Raises:
        RunNotFound: there is no such run.
        RunNotOver: it is queued or running.
    """
    with reading(engine) as session:
        run = lifecycle.get(session, run_id)
        if run.status not in FINAL_STATUSES:
            raise RunNotOver(run_id, run.status)
        if _is_judged(session, run):
            return records.diagnosis(session, run_id, ruleset=RULESET)
        judge_all = _judgement(session, run)
    found = judge_all()
    with transaction(engine) as session:
        _store(session, run_id, found)
    return found[-1]


def _is_judged(session: Session, run: Run) -> bool:
    """Whether this ruleset has judged every epoch: where it came while the run trained, it knows the last ones."""
    query = select(DiagnosisRow.epoch).where(DiagnosisRow.run_id == run.id, DiagnosisRow.ruleset == RULESET)
    return len(session.scalars(query).all()) == run.epochs_done


def _judgement(session: Session, run: Run) -> Callable[[], list[Diagnosis]]:
    """What judges every epoch of the run, and needs the session no more."""
    if not run.watched:
        return partial(_replayed, records.history(session, run.id), _spec_of(run))
    return partial(_judged, sent_by(session, run, run.epochs_done), records.evaluations(session, run.id))


def _replayed(history: History, spec: RunSpec | None) -> list[Diagnosis]:
    return list(replay(history, spec))


def _judged(sent: Sent, evaluations: list[EpochEvaluation]) -> list[Diagnosis]:
    """Of a watched run."""
    found: list[Diagnosis] = []
    for epoch in range(1, len(sent.ends) + 1):
        by_then = replace(sent, ends=sent.ends[:epoch])
        found.append(judge(by_then, evaluations, found[-1] if found else None).diagnosis)
    return found


def _spec_of(run: Run) -> RunSpec | None:
    """The run's spec, which remedies change; None where another version of this code wrote it."""
    try:
        return RunSpec.model_validate(run.spec)
    except ValidationError:
        return None


def _store(session: Session, run_id: str, found: list[Diagnosis]) -> None:
    """Stores the diagnoses of every epoch in the place of what their ruleset said, and what the newest one says."""
    over = Run.status.in_(FINAL_STATUSES)
    run = update_run(session, Run.id == run_id, over, step=Run.step)  # an UPDATE: whoever does the same meanwhile waits
    assert run is not None, "a run that is over stays so"
    same = (DiagnosisRow.run_id == run_id, DiagnosisRow.ruleset == found[0].ruleset)
    session.execute(delete(DiagnosisRow).where(*same))
    session.add_all(recording.diagnosis_row(run_id, diagnosis) for diagnosis in found)
    session.flush()
    update_run(session, Run.id == run_id, **recording.summary(records.diagnosis(session, run_id)))
