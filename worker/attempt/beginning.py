"""How an attempt begins: what the database knows of its run, its data, and the state from which it goes on."""

import logging
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ganlib.data.load import DatasetUnavailable, UploadedFiles
from ganlib.diagnosis.history import History
from ganlib.diagnosis.treatment import WarmStart
from ganlib.spec.data import Dataset, UploadChoice
from ganlib.spec.run import RunSpec
from ganlib.training.checkpoint import CheckpointUnreadable
from ganlib.training.loop import TrainingState
from store import treatments, uploads
from store.core.errors import ArtifactNotFound
from store.core.models import Attempt, Epoch
from store.files.artifacts import Artifacts
from store.files.local import Files
from store.runs import leases, lifecycle, records
from store.runs import recording as epochs
from store.runs.extensions import extended_after
from store.runs.machines import Machine
from worker.attempt.checkpoints import Checkpoints, load_checkpoint
from worker.attempt.recorder import look_up, persist
from worker.messages import Ticket

logger = logging.getLogger(__name__)


class StoredRun(NamedTuple):
    """What the database knows of the run when the attempt begins."""

    spec: RunSpec
    attempts: list[Attempt]
    epochs: list[Epoch]
    healthy_epochs: set[int]
    warm_start: WarmStart | None
    extended_from: list[int] | None


def read_run(engine: Engine, run_id: str) -> StoredRun:
    """What the database knows of the run now."""

    def read(session: Session) -> StoredRun:
        run = lifecycle.get(session, run_id)
        return StoredRun(
            spec=RunSpec.model_validate(run.spec),
            attempts=lifecycle.attempts(session, run_id),
            epochs=records.epochs(session, run_id),
            healthy_epochs=treatments.healthy_epochs(session, run_id),
            warm_start=None if run.warm_start is None else WarmStart(**run.warm_start),
            extended_from=run.extended_from,
        )

    return look_up(engine, read)


def load_state(checkpoints: Checkpoints, run_id: str, found: StoredRun) -> TrainingState | None:
    """The newest state that can be read; None where the run starts anew.

    Raises:
        CheckpointUnreadable: it is from before the run was extended.
    """
    earliest = extended_after(found.attempts, found.epochs)
    state = checkpoints.load_newest()
    if (0 if state is None else state.epoch) >= earliest:
        return state
    newest = [epoch.checkpoint for epoch in found.epochs if epoch.checkpoint is not None][-1:]
    raise CheckpointUnreadable(
        f"the run was extended after epoch {earliest}, and no checkpoint from there on can be read here; what it has "
        f"recorded stays. To let it go on, put {''.join(newest)} back into the folder {run_id} of the checkpoints, "
        "from a backup or from the host that wrote it, and extend the run again; or make a longer run"
    )


def load_warm_start(chosen: WarmStart, engine: Engine, files: Files) -> TrainingState | None:
    """The state of another run's checkpoint, to begin with its weights; None where it cannot be read."""
    sha256 = look_up(engine, lambda session: records.hash_of_checkpoint(session, chosen.run_id, chosen.checkpoint))
    try:
        state = load_checkpoint(files, chosen.run_id, chosen.checkpoint, sha256)
    except CheckpointUnreadable as error:
        logger.warning("begins with new weights instead of those of run %s: %s", chosen.run_id, error)
        return None
    logger.info("begins with the weights of run %s after epoch %d", chosen.run_id, chosen.epoch)
    return state


def find_upload(dataset: Dataset, engine: Engine, uploaded: Artifacts) -> UploadedFiles | None:
    """Where the upload lies that a spec trains on, brought here where it has to be; None for other data.

    Raises:
        DatasetUnavailable: its files are gone.
    """
    if not isinstance(dataset, UploadChoice):
        return None
    upload = look_up(engine, lambda session: uploads.get(session, dataset.upload))
    try:
        labels = None if upload.labels_sha256 is None else uploaded.fetch(upload.labels_sha256)
        return UploadedFiles(samples=uploaded.fetch(upload.samples_sha256), labels=labels)
    except ArtifactNotFound:
        raise DatasetUnavailable(f"the upload '{upload.id}' is not here any more; upload it again") from None


def begin(ticket: Ticket, engine: Engine, machine: Machine, epoch: int, found: StoredRun) -> History:
    """Forgets what was recorded after `epoch`, where the attempt begins, and says so; the past that is left.

    Raises:
        LeaseLost: the run is no longer this attempt's.
    """

    def write(session: Session) -> History:
        epochs.rewind(session, ticket.run_id, ticket.token, epoch)
        leases.describe_attempt(
            session,
            ticket.run_id,
            ticket.token,
            machine,
            resumed_from_epoch=epoch or None,
            identical=_is_identical(machine, epoch, found, is_stacked=ticket.is_stacked),
        )
        return records.history(session, ticket.run_id)

    return persist(engine, write)


def _is_identical(machine: Machine, epoch: int, found: StoredRun, *, is_stacked: bool) -> bool | None:
    """Whether the run goes on as if never disturbed: all its epochs so far were made so, on such a machine's CPU."""
    if epoch == 0:
        return None
    made_by = {e.attempt for e in found.epochs if e.epoch <= epoch}
    contributors = [attempt for attempt in found.attempts if attempt.number in made_by]
    alike = all(machine.equals(a) and (a.stack_size is not None) == is_stacked for a in contributors)
    return machine.is_reproducible and alike
