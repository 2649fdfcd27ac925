"""The training process: `python -m worker.training`, started by a worker, which gives it a ticket on stdin.

Trains one attempt of a run from the last checkpoint that the database names (or makes a comparison: see
`worker.comparison`). It records epochs, and success or the halt by a diagnosis; what else may happen is told to the
worker, or seen by it.
"""

import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ganlib.checkpoint import CheckpointUnreadable
from ganlib.datasets.load import DatasetUnavailable, UploadedFiles, load_dataset
from ganlib.diagnose.history import History
from ganlib.diagnose.treat import WarmStart
from ganlib.evaluate.evaluation import InvalidComparison
from ganlib.evaluate.extractors import ExtractorUnavailable
from ganlib.network_plugins import NetworkUnavailable
from ganlib.spec import Dataset, RunSpec, UploadDataset
from ganlib.train import Training
from store import epochs, leases, runs, treatments, uploads
from store.artifacts import Artifacts
from store.db import make_engine, reading
from store.errors import ArtifactNotFound, DiskFull, FileDamaged, LeaseLost, UploadNotFound
from store.extensions import specs_before
from store.files import Files, room_in
from store.log_lines import configure_logging
from store.models import Attempt, Epoch, Kind
from store.places import artifact_files, checkpoint_files, uploaded_files
from store.settings import Settings
from worker.checkpoints import Checkpoints, load_checkpoint
from worker.comparison import compare_samples
from worker.line import Line, Stopped
from worker.machine import DeviceUnavailable, Machine, choose_device, set_threads, this_machine
from worker.patience import PatientFiles
from worker.protocol import Failed, Stepped, Ticket, Working
from worker.recorder import Recorder, persist

FINAL_ERRORS = (
    ArtifactNotFound,
    DatasetUnavailable,
    DeviceUnavailable,
    DiskFull,
    ExtractorUnavailable,
    FileDamaged,
    InvalidComparison,
    NetworkUnavailable,
    UploadNotFound,
)
"""Another attempt would end the same way."""

logger = logging.getLogger("worker.training")


def main() -> int:
    """Exit status 0 after success or a stop, 1 after an error that the worker was told; others are tracebacks."""
    faulthandler.enable()
    faulthandler.register(signal.SIGTERM, chain=True)  # where did it hang? the log tells
    line = Line.over_standard_streams()
    ticket = line.read_ticket()
    settings = Settings()
    configure_logging(settings.log_format, secrets=settings.secrets, run=ticket.run_id, attempt=ticket.attempt)
    engine = make_engine(settings.database)
    try:
        with room_in(settings.home):
            WORK[_kind(engine, ticket.run_id)](ticket, line, engine=engine, settings=settings)
    except (Stopped, LeaseLost) as reason:
        logger.info("ended: %s", reason)
    except FINAL_ERRORS as error:
        logger.error("%s", error)
        line.tell(Failed(kind=type(error).__name__, error=str(error)))
        return 1
    finally:
        engine.dispose()
    return 0


def _kind(engine: Engine, run_id: str) -> Kind:
    with reading(engine) as session:
        run = runs.find(session, run_id)
    assert run is not None, "a claimed run exists"
    return run.kind


class _Found(NamedTuple):
    """What the database knows of the run when the attempt begins."""

    spec: RunSpec
    attempts: list[Attempt]
    epochs: list[Epoch]
    healthy_epochs: set[int]
    warm_start: WarmStart | None
    extended_from: list[int] | None


def train(ticket: Ticket, line: Line, *, engine: Engine, settings: Settings) -> None:
    """Trains and records the epochs that are left.

    Raises:
        Stopped: the worker said so.
        LeaseLost: the run is no longer this attempt's.
        DatasetUnavailable: the data are not there.
        UploadNotFound: the upload that they are was deleted.
        DeviceUnavailable: the device is not there.
    """
    found = _read(engine, ticket.run_id)
    spec = found.spec
    line.tell(Working(on="loading data"))
    device = choose_device(spec.resources.device, ticket.device)
    machine = this_machine(device, set_threads(settings.threads, found.attempts))
    upload = _find_upload(spec.dataset, engine, Artifacts(PatientFiles(uploaded_files(settings), line)))
    data = load_dataset(spec.dataset, settings.data, spec.seed, upload=upload)
    files = PatientFiles(checkpoint_files(settings), line)
    checkpoints = Checkpoints.of(
        files, ticket.run_id, ticket.attempt, found.epochs, found.healthy_epochs, settings.keep_checkpoints
    )
    before = specs_before(spec, found.extended_from)
    training = Training(spec, data, device=device, state=checkpoints.load_newest(), before=before)
    if training.epoch == 0 and found.warm_start is not None:
        _warm_start(training, found.warm_start, engine, files)
    history = _begin(ticket, engine, machine, training.epoch, found)
    logger.info("begins after epoch %d on %s", training.epoch, machine)
    line.obey()
    line.tell(Working(on="preparing evaluation"))
    recorder = Recorder(
        ticket,
        spec,
        data,
        device,
        settings=settings,
        features=training.discriminator_features,
        history=history,
        checkpoints=checkpoints,
        artifacts=Artifacts(PatientFiles(artifact_files(settings), line)),
        engine=engine,
    )
    _train_epochs(training, recorder, line)


def _read(engine: Engine, run_id: str) -> _Found:
    with reading(engine) as session:
        run = runs.get(session, run_id)
        return _Found(
            spec=RunSpec.model_validate(run.spec),
            attempts=runs.attempts(session, run_id),
            epochs=epochs.epochs(session, run_id),
            healthy_epochs=treatments.healthy_epochs(session, run_id),
            warm_start=None if run.warm_start is None else WarmStart(**run.warm_start),
            extended_from=run.extended_from,
        )


def _warm_start(training: Training, chosen: WarmStart, engine: Engine, files: Files) -> None:
    """Begins with the weights of another run's checkpoint; where it cannot be read, with the training's own."""
    with reading(engine) as session:
        sha256 = epochs.hash_of_checkpoint(session, chosen.run_id, chosen.checkpoint)
    try:
        state = load_checkpoint(files, chosen.run_id, chosen.checkpoint, sha256)
    except CheckpointUnreadable as error:
        logger.warning("begins with new weights instead of those of run %s: %s", chosen.run_id, error)
        return
    training.warm_start(state)
    logger.info("begins with the weights of run %s after epoch %d", chosen.run_id, chosen.epoch)


def _find_upload(dataset: Dataset, engine: Engine, uploaded: Artifacts) -> UploadedFiles | None:
    """Where the upload lies that a spec trains on, brought here where it has to be; None for other data.

    Raises:
        DatasetUnavailable: its files are gone.
    """
    if not isinstance(dataset, UploadDataset):
        return None
    with reading(engine) as session:
        upload = uploads.get(session, dataset.upload)
    try:
        labels = None if upload.labels_sha256 is None else uploaded.fetch(upload.labels_sha256)
        return UploadedFiles(samples=uploaded.fetch(upload.samples_sha256), labels=labels)
    except ArtifactNotFound:
        raise DatasetUnavailable(f"the upload '{upload.id}' is not here any more; upload it again") from None


def _begin(ticket: Ticket, engine: Engine, machine: Machine, epoch: int, found: _Found) -> History:
    """Forgets what was recorded after `epoch`, where the attempt begins, and says so; the past that is left."""

    def write(session: Session) -> History:
        epochs.rewind(session, ticket.run_id, ticket.token, epoch)
        leases.describe_attempt(
            session,
            ticket.run_id,
            ticket.token,
            **asdict(machine),
            resumed_from_epoch=epoch or None,
            identical=_is_identical(machine, epoch, found),
        )
        return epochs.history(session, ticket.run_id)

    return persist(engine, write)


def _is_identical(machine: Machine, epoch: int, found: _Found) -> bool | None:
    """Whether the run goes on as if never disturbed: all its epochs so far ran on such a machine, on the CPU."""
    if epoch == 0:
        return None
    contributors = {e.attempt for e in found.epochs if e.epoch <= epoch}
    return machine.is_reproducible and all(machine.equals(a) for a in found.attempts if a.number in contributors)


def _train_epochs(training: Training, recorder: Recorder, line: Line) -> None:
    started_at = time.monotonic()
    for report in training.epochs(line.step):
        seconds = time.monotonic() - started_at
        line.tell(Stepped(step=training.step))
        line.tell(Working(on=f"recording epoch {report.epoch}"))
        recorded = recorder.record(report, training.state(), seconds)
        diagnosis = recorded.diagnosis
        logger.info("epoch %d took %.2f s: %s, %s", report.epoch, seconds, diagnosis.verdict, diagnosis.reason)
        if recorded.halted_by is not None:
            logger.info("halted: %s since epoch %d", recorded.halted_by.name, recorded.halted_by.first_epoch)
            return
        if recorded.paused:
            logger.info("paused, as was asked for")
            return
        started_at = time.monotonic()


WORK: dict[Kind, Callable[..., None]] = {"training": train, "comparison": compare_samples}


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # everything is written, and torch takes a second to tear itself down
