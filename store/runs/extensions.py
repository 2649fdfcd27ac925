"""Extending a run that is over: it goes on from its last checkpoint with more epochs."""

from collections.abc import Sequence

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from ganlib.spec.data import UploadChoice
from ganlib.spec.hashing import spec_hash
from ganlib.spec.request import InvalidRequest
from ganlib.spec.run import RunSpec
from ganlib.wire.statuses import FINAL_STATUSES, Status
from store import uploads
from store.core.db import clock
from store.core.errors import IdempotencyConflict, NotExtendable, UploadNotFound
from store.core.models import Attempt, Epoch, Run, Treatment
from store.runs import events
from store.runs.attempts import TIME_LIMIT
from store.runs.lifecycle import get_locked

EXTENDABLE: tuple[Status, ...] = ("succeeded", "halted")
UNREADABLE = "CheckpointUnreadable"
"""The error of a run that failed for want of the checkpoint that it was to go on from."""
GOES_ON = frozenset({UNREADABLE, TIME_LIMIT})
"""The errors of runs that failed, and may be extended nevertheless."""


def extend(session: Session, run_id: str, epochs: int, *, idempotency_key: str | None = None) -> Run:
    """The training, queued again, with so many more epochs in its spec; what it has recorded stays.

    With the key of its last extension, it is extended no further. An extended run whose checkpoints cannot be read
    fails, and keeps all that it has recorded: once a file of an epoch from its former end on is back, it can be
    extended again, and goes on from there. Where none is, it fails again, and nothing else is possible. One whose time
    was used up goes on, too, and its time is counted anew.

    Raises:
        RunNotFound: there is no such run.
        NotExtendable: it has not come to its end, has no checkpoint to go on from, is treated now, trained on what was
            deleted, or what its steps do follows from the number of epochs.
        InvalidRequest: a run may not have that many.
        IdempotencyConflict: the key is that of its last extension, which was another.
    """
    run = get_locked(session, run_id)
    if idempotency_key is not None and run.extension_key is not None:
        before, _, key = run.extension_key.partition(":")
        if key == idempotency_key:
            if before != str(epochs):
                raise IdempotencyConflict(key)
            return run
    if run.watched:
        raise NotExtendable(run.id, "it is trained elsewhere; watch its trainer go on as another run")
    spec = _spec_of(run)
    _require_extendable(session, run, spec, run.epochs_done + epochs)
    document = spec.model_dump(mode="json")
    # A run that was ended early has epochs left that it never made: more are counted from where it is.
    document["training"]["epochs"] = run.epochs_done + epochs
    try:
        longer = RunSpec.model_validate(document)
    except ValidationError:
        raise InvalidRequest({"epochs": f"the run has {run.epochs_done}; with {epochs} more it has too many"}) from None
    run.extended_from = [*(run.extended_from or ()), run.epochs_total]
    run.extension_key = None if idempotency_key is None else f"{epochs}:{idempotency_key}"
    run.spec, run.spec_hash = longer.model_dump(mode="json"), spec_hash(longer)
    run.epochs_total = longer.training.epochs
    run.status, run.finished_at, run.cancel_requested = "queued", None, False
    run.error = run.error_kind = None
    run.waits_since = clock(session)
    events.note_status(session, run)
    return run


def specs_before(spec: RunSpec, extended_from: list[int] | None) -> list[RunSpec]:
    """The specs that the run had before it was extended; its checkpoints may be theirs."""
    parts = spec.training
    return [
        spec.model_copy(update={"training": parts.model_copy(update={"epochs": epochs})})
        for epochs in extended_from or ()
    ]


def extended_after(attempts: Sequence[Attempt], epochs: Sequence[Epoch]) -> int:
    """The epoch that the run was last extended after, and that training never goes back behind; 0: it never was.

    What a run has recorded until it succeeded or was halted is its result, whatever has become of the checkpoints.
    """
    result = max((attempt.number for attempt in attempts if attempt.outcome in EXTENDABLE), default=0)
    recorded = {epoch.attempt for epoch in epochs}
    # Of those that failed, only one whose time was used up has recorded epochs and was followed by another.
    failed = max((a.number for a in attempts if a.outcome == "failed" and a.number in recorded), default=0)
    ends = (e.epoch for e in epochs if e.attempt <= result or (e.attempt <= failed and e.checkpoint is not None))
    return max(ends, default=0)


def may_go_on(run: Run) -> bool:
    """Whether the run is one of those that an extension may let go on, or goes on by itself: its records may change."""
    return run.status not in FINAL_STATUSES or run.status in EXTENDABLE or run.error_kind in GOES_ON


def _spec_of(run: Run) -> RunSpec:
    try:
        return RunSpec.model_validate(run.spec)
    except ValidationError:
        raise NotExtendable(run.id, "its spec, of another version, is not valid in this one") from None


def _planned_by_length(spec: RunSpec) -> str | None:
    """What each step does differently in a longer run; None where a longer run begins as this one did."""
    for name, optimizer in (("optimizer", spec.optimizer), ("discriminator_optimizer", spec.discriminator_optimizer)):
        if optimizer is not None and optimizer.schedule.kind != "constant":
            return f"{name}.schedule is '{optimizer.schedule.kind}'"
    return "remedies.instance_noise falls with each step" if spec.remedies.instance_noise is not None else None


def _require_extendable(session: Session, run: Run, spec: RunSpec, epochs: int) -> None:
    """Returns where the run may go on until it has that many epochs."""
    is_over = run.status in EXTENDABLE
    if not is_over and run.error_kind not in GOES_ON:
        raise NotExtendable(
            run.id, f"it is {run.status}; only a run that succeeded, was halted, or has used up its time goes on"
        )
    planned = _planned_by_length(spec)
    if planned is not None and epochs != run.epochs_total:
        raise NotExtendable(run.id, f"{planned}, which follows from the number of epochs; make a longer run instead")
    saved = select(Epoch.epoch).where(Epoch.run_id == run.id, Epoch.checkpoint.is_not(None))
    # One that failed may have ended in an epoch without a checkpoint, and goes on from an earlier one.
    if session.scalars(saved.where(Epoch.epoch == run.epochs_done) if is_over else saved).first() is None:
        raise NotExtendable(run.id, "the checkpoint of its last epoch is gone" if is_over else "it has no checkpoint")
    treated = select(Treatment.id).where(
        (Treatment.run_id == run.id) | (Treatment.id == run.treatment_id), Treatment.status == "running"
    )
    treatment = session.scalars(treated.limit(1)).one_or_none()
    if treatment is not None:
        raise NotExtendable(run.id, f"the treatment '{treatment}' goes by how it ended; wait for its end, or cancel it")
    if isinstance(spec.dataset, UploadChoice):
        try:
            uploads.get_locked(session, spec.dataset.upload, shared=True)
        except UploadNotFound:
            raise NotExtendable(run.id, "the upload that it trained on was deleted") from None
