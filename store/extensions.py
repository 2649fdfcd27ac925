"""Extending a run that is over: it goes on from its last checkpoint with more epochs."""

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from ganlib.request import InvalidRequest
from ganlib.spec import RunSpec, UploadDataset, spec_hash
from store import uploads
from store.errors import IdempotencyConflict, NotExtendable, RunNotFound, UploadNotFound
from store.models import Epoch, Run, Status, Treatment

EXTENDABLE: tuple[Status, ...] = ("succeeded", "halted")


def extend(session: Session, run_id: str, epochs: int, *, idempotency_key: str | None = None) -> Run:
    """The training, queued again, with so many more epochs in its spec; what it has recorded stays.

    With the key of its last extension, it is extended no further.

    Raises:
        RunNotFound: there is no such run.
        NotExtendable: it is not over, has no checkpoint of its last epoch, is treated now, trained on what was deleted,
            or what its steps do follows from the number of epochs.
        InvalidRequest: a run may not have that many.
        IdempotencyConflict: the key is that of its last extension, which was another.
    """
    query = select(Run).where(Run.id == run_id, Run.kind == "training").with_for_update(key_share=True)
    run = session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
    if run is None:
        raise RunNotFound(run_id)
    if idempotency_key is not None and run.extension_key is not None:
        before, _, key = run.extension_key.partition(":")
        if key == idempotency_key:
            if before != str(epochs):
                raise IdempotencyConflict(key)
            return run
    spec = _spec_of(run)
    _require_extendable(session, run, spec)
    document = spec.model_dump(mode="json")
    # A halted run has epochs left that it never made: more are counted from where it is.
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
    session.flush()
    return run


def specs_before(spec: RunSpec, extended_from: list[int] | None) -> list[RunSpec]:
    """The specs that the run had before it was extended; its checkpoints may be theirs."""
    parts = spec.training
    return [
        spec.model_copy(update={"training": parts.model_copy(update={"epochs": epochs})})
        for epochs in extended_from or ()
    ]


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


def _require_extendable(session: Session, run: Run, spec: RunSpec) -> None:
    if run.status not in EXTENDABLE:
        raise NotExtendable(run.id, f"it is {run.status}; only a run that succeeded or was halted goes on")
    planned = _planned_by_length(spec)
    if planned is not None:
        raise NotExtendable(run.id, f"{planned}, which follows from the number of epochs; make a longer run instead")
    last = session.get(Epoch, (run.id, run.epochs_done), populate_existing=True)
    if last is None or last.checkpoint is None:
        raise NotExtendable(run.id, "the checkpoint of its last epoch is gone")
    treated = select(Treatment.id).where(
        (Treatment.run_id == run.id) | (Treatment.id == run.treatment_id), Treatment.status == "running"
    )
    treatment = session.scalars(treated.limit(1)).one_or_none()
    if treatment is not None:
        raise NotExtendable(run.id, f"the treatment '{treatment}' goes by how it ended; wait for its end, or cancel it")
    if isinstance(spec.dataset, UploadDataset):
        try:
            uploads.get_locked(session, spec.dataset.upload, shared=True)
        except UploadNotFound:
            raise NotExtendable(run.id, "the upload that it trained on was deleted") from None
