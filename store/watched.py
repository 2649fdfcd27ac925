"""Watched runs: a trainer elsewhere sends their steps and samples, and a worker judges each epoch.

    run = create(session, WatchRequest(name="my-stylegan"))
    receive(session, run.id, sequence=1, message=SentSteps(...))   # whatever is sent again changes nothing

Messages of a run are numbered 1, 2, 3, … by its trainer, and each is stored once, in its order. Epochs wait for a look:
a queued job of kind `look`, one for each run, which is queued again where it has succeeded and another epoch comes. It
judges them one after the other under the run's fencing token, of which each look takes a new one.

A run of which nothing is heard for long has failed; with the next message it runs again.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session, aliased

from ganlib.foreign_logs.watched import Sent
from ganlib.records import EpochEvaluation
from ganlib.spec.hashing import spec_hash
from ganlib.spec.limits import MAX_EPOCH
from ganlib.spec.request import InvalidRequest
from ganlib.spec.watched import MAX_STEPS, LookSpec, WatchedSpec
from ganlib.step_blocks import MAX_NAMES
from ganlib.wire.statuses import FINAL_STATUSES, Status
from ganlib.wire.watching import WatchedEnd, WatchRequest
from store.core.db import clock, now
from store.core.errors import RunNotFound, UploadNotFound, WatchedRunOver, WatchOutOfOrder
from store.core.models import Artifact, Run, Upload, WatchedBlock, WatchedEpoch, WatchRow
from store.files.artifacts import StoredArtifact
from store.runs import endings, events, leases, lifecycle, records
from store.runs.leases import update_run
from store.runs.sent import ends_of, names_sent, read_sent
from store.scheduling.owners import NOBODY_ELSE, Owner
from store.uploads import get_locked as get_upload_locked

SILENT = "TrainerSilent"
"""The error of a run of which nothing more came; it goes on with the next message."""
UNJUDGED = "NotJudged"
"""The error of a run whose last epochs no worker could judge."""
LOST_LOOKS: tuple[Status, ...] = ("failed", "cancelled")
"""What a look is that judges nothing more, unless another epoch comes."""
FEWEST_REALS = 100
"""Half of them stand for fakes where a figure's null is made."""


def create(
    session: Session,
    request: WatchRequest,
    *,
    owner: Owner = NOBODY_ELSE,
    idempotency_key: str | None = None,
) -> Run:
    """A new watched run, which is running, or the one that the same request with the same idempotency key made.

    Raises:
        IdempotencyConflict: the key was used for another request.
        InvalidRequest: the reals are not there, or too few.
    """
    spec = _spec_of(session, request)
    at = clock(session)
    run = Run(
        id=lifecycle.new_id(),
        watched=True,
        name=request.name,
        spec=spec.model_dump(mode="json"),
        spec_hash=spec_hash(spec),
        seed=spec.seed,
        status="running",
        priority=0,
        **owner.columns,
        request_hash=lifecycle.hash_request(request),
        created_at=at,
        started_at=at,
        epochs_total=request.epochs or 1,
        steps_per_epoch=1,
    )
    made = lifecycle.insert(session, run, idempotency_key)
    if made is run:
        session.add(WatchRow(run_id=run.id, heard_at=at))
        session.flush()
    return made


def _spec_of(session: Session, request: WatchRequest) -> WatchedSpec:
    reals = {} if request.real is None else {"name": "upload", "upload": request.real}
    if request.real is not None:
        try:
            upload = get_upload_locked(session, request.real, shared=True)
        except UploadNotFound as error:
            raise InvalidRequest({"real": str(error)}) from None
        if upload.kind == "pairs":
            raise InvalidRequest({"real": f"the upload '{upload.id}' holds pairs; upload the real pictures alone"})
        if upload.count < FEWEST_REALS:
            raise InvalidRequest({"real": f"the upload has {upload.count} samples; at least {FEWEST_REALS} are needed"})
    return WatchedSpec.model_validate(
        {"objective": {"name": request.objective}, "dataset": reals, "epochs": request.epochs}
    )


# --- messages ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSteps:
    """Steps in the order in which they were made."""

    block: bytes
    """That `ganlib.step_blocks` can decode."""
    count: int
    names: tuple[str, ...]
    """Of the block, each once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEnd:
    """The steps that were sent since the last one are an epoch."""

    seconds: float
    fakes: StoredArtifact | None = None
    """The stored array of its samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEnd:
    """The trainer has ended."""

    outcome: WatchedEnd
    error: str | None = None


Message = SentSteps | EpochEnd | TrainingEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came of a message."""

    run: Run
    watch: WatchRow
    is_new: bool
    """Whether it was stored now, and not before."""
    is_queued: bool = False
    """Whether a look was queued."""


def find(session: Session, run_id: str) -> tuple[Run, WatchRow]:
    """The watched run of that id, as the database has it now.

    Raises:
        RunNotFound: there is none, or it is trained here.
    """
    run = lifecycle.get(session, run_id)
    return run, _watch_of(session, run)


def _watch_of(session: Session, run: Run) -> WatchRow:
    watch = session.get(WatchRow, run.id, populate_existing=True)
    if watch is None:
        raise RunNotFound(run.id)
    return watch


def receive(session: Session, run_id: str, sequence: int, message: Message) -> Received:
    """Stores the message, unless it came before.

    Raises:
        RunNotFound: there is no such watched run.
        WatchOutOfOrder: messages before it have not come.
        WatchedRunOver: the run is over.
        InvalidRequest: it is more than a run may have, or an epoch without a step.
    """
    run = lifecycle.get_locked(session, run_id)
    watch = _watch_of(session, run)
    if sequence <= watch.sequence:
        watch.heard_at = clock(session)
        return Received(run=run, watch=watch, is_new=False)
    if watch.ending is not None or (run.status in FINAL_STATUSES and run.error_kind != SILENT):
        raise WatchedRunOver(run_id, watch.ending or run.status)
    if sequence != watch.sequence + 1:
        raise WatchOutOfOrder(run_id, sequence, watch.sequence + 1)
    if run.status in FINAL_STATUSES:
        run.status, run.finished_at, run.error, run.error_kind = "running", None, None, None
        events.note_status(session, run)
    watch.sequence, watch.heard_at = sequence, clock(session)
    match message:
        case SentSteps():
            _add_steps(session, run, watch, message)
        case EpochEnd():
            _add_epoch(session, run, watch, message)
        case TrainingEnd():
            _add_end(session, run, watch, message)
    is_queued = isinstance(message, EpochEnd) and _queue_look(session, run, watch)
    session.flush()
    return Received(run=run, watch=watch, is_new=True, is_queued=is_queued)


def _add_steps(session: Session, run: Run, watch: WatchRow, message: SentSteps) -> None:
    if watch.steps + message.count > MAX_STEPS:
        raise InvalidRequest({"body": f"a watched run may have {MAX_STEPS:,} steps; send every tenth, say"})
    names = _names_with(session, watch, message.names)
    if len(names) > MAX_NAMES:
        raise InvalidRequest({"body": f"a watched run may have {MAX_NAMES} names; with these it has {len(names)}"})
    watch.names = names
    session.add(
        WatchedBlock(run_id=run.id, sequence=watch.sequence, first_step=watch.steps, block=message.block),
    )
    watch.steps += message.count
    run.step = watch.steps


def _names_with(session: Session, watch: WatchRow, names: tuple[str, ...]) -> list[str]:
    """The names of the run and these, each once, in the order in which they came."""
    known = list(names_sent(session, watch.run_id)) if watch.names is None else watch.names
    return list(dict.fromkeys((*known, *names)))


def _add_epoch(session: Session, run: Run, watch: WatchRow, message: EpochEnd) -> None:
    before = session.get(WatchedEpoch, (run.id, watch.epochs)) if watch.epochs else None
    if watch.steps == (0 if before is None else before.steps):
        raise InvalidRequest({"sequence": "the epoch has no step; send at least one before its end"})
    if watch.epochs >= MAX_EPOCH:
        raise InvalidRequest({"sequence": f"a run may have {MAX_EPOCH:,} epochs; end them more rarely"})
    watch.epochs += 1
    run.epochs_total = max(run.epochs_total, watch.epochs)
    run.steps_per_epoch = max(1, round(watch.steps / watch.epochs))
    session.add(WatchedEpoch(run_id=run.id, epoch=watch.epochs, steps=watch.steps, seconds=message.seconds))
    if message.fakes is not None:
        session.add(
            Artifact(
                run_id=run.id,
                epoch=watch.epochs,
                kind="fakes",
                sha256=message.fakes.sha256,
                media_type=message.fakes.media_type,
                size=message.fakes.size,
            )
        )


def _add_end(session: Session, run: Run, watch: WatchRow, message: TrainingEnd) -> None:
    watch.ending = message.outcome
    run.error, run.error_kind = message.error, None if message.error is None else "TrainerFailed"
    end_if_judged(session, run, watch)


def end_if_judged(session: Session, run: Run, watch: WatchRow) -> None:
    """Ends the run where its trainer has, and every epoch was judged. To be called under the lock of its row."""
    if watch.ending is None or run.epochs_done < watch.epochs or run.status in FINAL_STATUSES:
        return
    run.status, run.finished_at = watch.ending, clock(session)
    run.epochs_total = max(watch.epochs, 1)
    events.note_status(session, run)


def lose_silent(session: Session, patience: timedelta) -> list[str]:
    """Fails every running watched run of which nothing was heard for longer, and nothing waits; the ids of those.

    What nobody could judge waits no more.
    """
    look = aliased(Run)
    has_failed = exists().where(look.id == WatchRow.look_id, look.status.in_(LOST_LOOKS))
    silent = (
        select(Run)
        .join(WatchRow, WatchRow.run_id == Run.id)
        .where(WatchRow.heard_at < now() - patience.total_seconds(), Run.status == "running", Run.watched)
        .where(WatchRow.ending.is_(None), or_(WatchRow.epochs == Run.epochs_done, has_failed))
        .with_for_update(skip_locked=True, of=Run)
    )
    lost = list(session.scalars(silent, execution_options={"populate_existing": True}))
    for run in lost:
        run.status, run.finished_at, run.error_kind = "failed", clock(session), SILENT
        run.error = (
            f"nothing came from its trainer for {patience.total_seconds() / 60:g} minutes; it goes on when something "
            "does: `ganclinic sync` sends what the trainer has kept"
        )
        events.note_status(session, run)
    return [run.id for run in lost]


def end_unjudged(session: Session) -> list[str]:
    """Ends every watched run whose trainer has ended, and whose last epochs nobody could judge; the ids of those."""
    look = aliased(Run)
    query = (
        select(Run, WatchRow, look.error)
        .join(WatchRow, WatchRow.run_id == Run.id)
        .join(look, look.id == WatchRow.look_id)
        .where(Run.status == "running", WatchRow.ending.is_not(None), WatchRow.epochs > Run.epochs_done)
        .where(look.status.in_(LOST_LOOKS))
        .with_for_update(skip_locked=True, of=Run)
    )
    ended = session.execute(query, execution_options={"populate_existing": True}).all()
    for run, watch, why in ended:
        assert watch.ending is not None, "the query asks for it"
        run.status, run.finished_at = watch.ending, clock(session)
        run.error = f"its last {watch.epochs - run.epochs_done} epochs could not be judged: {why}"
        run.error_kind = UNJUDGED
        events.note_status(session, run)
    return [run.id for run, _, _ in ended]


# --- looks ------------------------------------------------------------------------------------------------------


def _queue_look(session: Session, run: Run, watch: WatchRow) -> bool:
    """Makes sure that a worker looks at the run's epochs; whether it must be called."""
    look = None if watch.look_id is None else session.get(Run, watch.look_id, populate_existing=True)
    at = clock(session)
    if look is None:
        spec = LookSpec(run=run.id)
        look = Run(
            id=lifecycle.new_id(),
            kind="look",
            spec=spec.model_dump(mode="json"),
            spec_hash=spec_hash(spec),
            seed=0,
            status="queued",
            priority=0,
            **Owner.of(run).columns,
            request_hash=lifecycle.hash_request(spec),
            created_at=at,
            epochs_total=1,
            steps_per_epoch=1,
        )
        session.add(look)
        session.flush()
        events.note_status(session, look)
        watch.look_id = look.id
        return True
    # One UPDATE: where a worker ends the look now, it waits for the lock of the watched run, which this one has.
    again = update_run(
        session,
        *(Run.id == look.id, Run.status.in_(FINAL_STATUSES)),
        status="queued",
        waits_since=at,
        finished_at=None,
        error=None,
        error_kind=None,
        epochs_done=0,
        step=0,
    )
    if again is not None:
        events.note_status(session, again)
    return again is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A watched run that a look has taken."""

    run_id: str
    token: int
    spec: WatchedSpec
    upload: Upload | None
    """The reals; None without them, or where they were deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEpoch:
    """An epoch that nobody has judged yet, with all that was sent by its end."""

    epoch: int
    first_step: int
    sent: Sent
    seconds: float
    fakes_sha256: str | None
    evaluations: tuple[EpochEvaluation, ...]
    """Of the epochs before."""


def take(session: Session, look_id: str, look_token: int) -> Taken | None:
    """The watched run of the look, for this attempt alone; None where it is over or was deleted.

    Raises:
        LeaseLost: the token no longer holds the look.
    """
    look = leases.require_held(session, look_id, look_token)
    run = update_run(session, Run.id == look.spec["run"], Run.status == "running", token=Run.token + 1)
    if run is None:
        return None
    spec = WatchedSpec.model_validate(run.spec)
    upload = None if spec.dataset.upload is None else session.get(Upload, spec.dataset.upload)
    return Taken(run_id=run.id, token=run.token, spec=spec, upload=upload)


def next_epoch(session: Session, taken: Taken) -> WaitingEpoch | None:
    """The first epoch of the run that waits; None where none does."""
    run = lifecycle.find(session, taken.run_id)
    ends = None if run is None else ends_of(session, run.id, run.epochs_done + 1)
    if run is None or ends is None:
        return None
    epoch = run.epochs_done + 1
    row = session.get_one(WatchedEpoch, (run.id, epoch))
    fakes = session.get(Artifact, (run.id, "fakes", epoch))
    return WaitingEpoch(
        epoch=epoch,
        first_step=ends[-2] if epoch > 1 else 0,
        sent=read_sent(session, run, ends),
        seconds=row.seconds,
        fakes_sha256=None if fakes is None else fakes.sha256,
        evaluations=tuple(records.evaluations(session, run.id)),
    )


def forget_fakes(session: Session, run_id: str, epoch: int) -> None:
    """No row names the samples of the epoch any more: it was judged, and their picture is kept."""
    session.execute(
        delete(Artifact).where(Artifact.run_id == run_id, Artifact.kind == "fakes", Artifact.epoch == epoch)
    )


def finish_look(session: Session, look_id: str, look_token: int, run_id: str | None) -> bool:
    """Ends the look, and with it the run where its trainer has ended; False where another epoch waits.

    Raises:
        LeaseLost: the token no longer holds the look.
    """
    # The watched run's row first, as whoever brings an epoch has it: none comes between this look and the look's end.
    query = select(Run).where(Run.id == run_id).with_for_update(key_share=True)
    run = session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
    if run is not None:
        watch = _watch_of(session, run)
        if run.status == "running" and run.epochs_done < watch.epochs:
            return False
        end_if_judged(session, run, watch)
    endings.finish(session, look_id, look_token, "succeeded")
    return True
