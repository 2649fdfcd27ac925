# pyright: standard
"""The training process's third work: one attempt of a look at the epochs that a trainer elsewhere has sent.

What it records of an epoch is what a training records of one, in the same transaction and under the same guard.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from ganlib.data.load import as_float
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.measures.ndb import TooFewSamples
from ganlib.evaluation.measures.table import Context
from ganlib.evaluation.reference import Reference, evaluate, flat, prepare_reference
from ganlib.evaluation.scales import scale_of_fakes, span
from ganlib.foreign_logs.watched import judge
from ganlib.plots.image_grids import sample_grid
from ganlib.records import EpochEvaluation
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.evaluation import Comparison
from ganlib.spec.evaluation import Evaluation as EvaluationSpec
from store import watched
from store.core.errors import ArtifactNotFound, EpochOutOfOrder, LeaseLost, StoreError
from store.core.models import ArtifactKind
from store.files.artifacts import Artifacts, StoredArtifact
from store.runs import leases, lifecycle, recording, records
from store.runs.recording import EpochRecord
from store.watched import Taken, WaitingEpoch
from worker.attempt.context import AttemptContext
from worker.attempt.device import choose_device, set_threads, this_machine
from worker.attempt.recorder import look_up, persist, put_bin_images
from worker.messages import Working

USED_FAKES: int = EvaluationSpec.model_fields["num_samples"].default
"""As many as a run's evaluation takes: thresholds were set at that number."""
FEWEST_FAKES = 50
"""Fewer are shown, and not compared."""

logger = logging.getLogger("worker.attempt.looking")


def look_at_epochs(context: AttemptContext) -> None:
    """Judges every epoch that waits, and ends the look.

    Raises:
        Stopped: the worker said so.
        LeaseLost: the look is no longer this attempt's.
    """
    ticket, channel, engine = context.ticket, context.channel, context.engine
    attempts = look_up(engine, lambda session: lifecycle.attempts(session, ticket.run_id))
    machine = this_machine(choose_device("cpu", ticket.device), set_threads(context.settings.threads, attempts))
    persist(
        engine,
        lambda session: leases.describe_attempt(
            session, ticket.run_id, ticket.token, machine, resumed_from_epoch=None, identical=None
        ),
    )
    taken = persist(engine, lambda session: watched.take(session, ticket.run_id, ticket.token))
    run_id = None if taken is None else taken.run_id
    while True:
        if taken is not None:
            _judge_all(context, taken)
        channel.obey()
        if persist(engine, lambda session: watched.finish_look(session, ticket.run_id, ticket.token, run_id)):
            return


def _judge_all(context: AttemptContext, taken: Taken) -> None:
    channel, engine, artifacts = context.channel, context.engine, context.artifacts()
    channel.tell(Working(on="loading samples"))
    compared = _Compared(reals=_reals(context, taken), cache=Cache(context.settings.cache))
    while (waiting := look_up(engine, lambda session: watched.next_epoch(session, taken))) is not None:
        channel.obey()
        channel.tell(Working(on=f"judging epoch {waiting.epoch}"))
        seen = _look_at_fakes(taken, waiting, compared, artifacts)
        previous = look_up(engine, lambda session: records.diagnosis(session, taken.run_id))
        evaluations = () if seen.evaluation is None else (seen.evaluation,)
        judged = judge(waiting.sent, (*waiting.evaluations, *evaluations), previous)
        pictures = _pictures(taken, waiting, seen, compared.reals, artifacts)
        record = EpochRecord(
            run_id=taken.run_id,
            token=taken.token,
            attempt=0,
            epoch=waiting.epoch,
            first_step=waiting.first_step,
            steps=judged.steps,
            seconds=waiting.seconds,
            checkpoint=None,
            evaluations=evaluations,
            diagnosis=judged.diagnosis,
            artifacts=pictures,
            watched=True,
        )
        if not persist(engine, lambda session, record=record: _record(session, record)):
            return
        logger.info("epoch %d: %s, %s", waiting.epoch, judged.diagnosis.verdict, judged.diagnosis.reason)


def _record(session: Session, record: EpochRecord) -> bool:
    """Whether the run goes on; where it does not, somebody has ended it, and nothing is recorded of it any more."""
    try:
        recording.record_epoch(session, record)
    except LeaseLost:
        run = lifecycle.find(session, record.run_id)
        if run is not None and run.status == "running":
            raise
        return False
    except EpochOutOfOrder:  # the answer of the commit that recorded it was lost, and only this look holds the run
        return True
    watched.forget_fakes(session, record.run_id, record.epoch)
    return True


# --- samples ----------------------------------------------------------------------------------------------------


def _reals(context: AttemptContext, taken: Taken) -> NDArray[np.float32] | None:
    """[n, *shape], pixels in [-1, 1]; None where there are none, or not any more."""
    if taken.upload is None:
        return None
    try:
        path = context.uploaded().fetch(taken.upload.samples_sha256)
    except ArtifactNotFound:
        logger.warning("the reals are gone: fakes are compared with nothing")
        return None
    return as_float(_load(path))


def _fakes(waiting: WaitingEpoch, artifacts: Artifacts) -> NDArray[np.float32] | None:
    """[n, *shape], pixels in [-1, 1], in an order of chance, for a trainer may sort them by class."""
    if waiting.fakes_sha256 is None:
        return None
    try:
        array = _load(artifacts.fetch(waiting.fakes_sha256))
    except ArtifactNotFound:
        logger.warning("the samples of epoch %d are gone", waiting.epoch)
        return None
    order = numpy_generator(0, Stream.EVALUATION).permutation(len(array))[:USED_FAKES]
    chosen: NDArray[Any] = np.asarray(array[np.sort(order)])
    if chosen.dtype == np.uint8 or chosen.ndim == 2:
        return as_float(chosen)
    return scale_of_fakes(*span(chosen), None).signed(as_float(chosen))


def _load(path: Path) -> NDArray[Any]:
    return np.load(path, mmap_mode="r", allow_pickle=False)


@dataclass(kw_only=True)
class _Compared:
    """The reals, and what they give, for each number of fakes."""

    reals: NDArray[np.float32] | None
    cache: Cache
    _references: dict[int, Reference] = field(default_factory=dict[int, Reference])

    def with_fakes(
        self, fakes: NDArray[np.float32] | None, epoch: int
    ) -> tuple[EpochEvaluation | None, Reference | None]:
        """What the fakes score; None where there are none, or too few to say anything."""
        if fakes is None or self.reals is None or len(fakes) < FEWEST_FAKES or fakes.shape[1:] != self.reals.shape[1:]:
            return None, None
        if len(fakes) not in self._references:
            context = Context(options=Comparison(), device=torch.device("cpu"))
            try:
                made = prepare_reference(self.reals, context, flat, num_samples=len(fakes), cache=self.cache)
            except TooFewSamples as error:
                logger.warning("epoch %d is not compared: %s", epoch, error)
                return None, None
            self._references[len(fakes)] = made
        reference = self._references[len(fakes)]
        return evaluate(reference, fakes, epoch), reference


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What an epoch's samples gave; nothing where there are none."""

    evaluation: EpochEvaluation | None = None
    reference: Reference | None = None
    """That they were compared with."""
    picture: bytes | None = None


def _look_at_fakes(taken: Taken, waiting: WaitingEpoch, compared: _Compared, artifacts: Artifacts) -> _Seen:
    """What the epoch's samples give. Where that fails for good, nothing: later epochs wait for this one.

    Raises:
        OSError: of a disk or a network, which another attempt may find well.
        StoreError: of a store, likewise.
    """
    try:
        fakes = _fakes(waiting, artifacts)
        if fakes is None:
            return _Seen()
        evaluation, reference = compared.with_fakes(fakes, waiting.epoch)
        return _Seen(evaluation=evaluation, reference=reference, picture=sample_grid(fakes[: taken.spec.samples.count]))
    except (OSError, StoreError):
        raise
    except Exception:
        logger.exception("epoch %d is judged without its samples, which cannot be drawn or compared", waiting.epoch)
        return _Seen()


def _pictures(
    taken: Taken, waiting: WaitingEpoch, seen: _Seen, reals: NDArray[np.float32] | None, artifacts: Artifacts
) -> dict[ArtifactKind, StoredArtifact]:
    pictures: dict[ArtifactKind, StoredArtifact] = {}
    if seen.picture is not None:
        pictures["samples"] = artifacts.put(seen.picture, "image/png")
    if reals is not None and waiting.epoch == 1:
        count = taken.spec.samples.count
        spread = np.linspace(0, len(reals) - 1, min(count, len(reals))).astype(np.int64)
        try:
            pictures["reals"] = artifacts.put(sample_grid(reals[spread]), "image/png")
        except (TypeError, ValueError):  # an upload of floats may have any shape
            logger.exception("the reals cannot be drawn")
    return pictures if seen.reference is None else pictures | put_bin_images(seen.reference, artifacts)
