"""Records epochs: evaluates, diagnoses, stores files, and then writes everything in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ganlib.data.load import DataArrays
from ganlib.diagnosis.halt import should_halt
from ganlib.diagnosis.history import History
from ganlib.diagnosis.prescribe import with_remedies
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.treatment import is_harmless
from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.reference import Embed, Reference, evaluate
from ganlib.plots.image_grids import bin_strip, pair_grid, sample_grid
from ganlib.records import EpochEvaluation, EpochReport
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingState
from ganlib.training.sampling import untrained_fakes
from store.core.db import reading, transaction
from store.core.models import ArtifactKind
from store.files.artifacts import Artifacts, StoredArtifact
from store.runs import endings, lifecycle, recording
from store.runs.endings import Outcome
from store.runs.recording import EpochRecord
from worker.attempt.checkpoints import Checkpoints
from worker.attempt.context import AttemptContext
from worker.attempt.out_of_memory import evaluating
from worker.attempt.retry import retry_until_answered

T = TypeVar("T")
LEFT = ("paused", "gave way", "handed over")
"""Outcomes of attempts that end with an epoch, and whose runs go on later."""


def persist(engine: Engine, write: Callable[[Session], T]) -> T:
    """What `write` returns, in a transaction that is tried again for as long as the database does not answer.

    The worker, which hears nothing meanwhile, ends the wait when it has lasted too long.
    """

    def write_once() -> T:
        with transaction(engine) as session:
            return write(session)

    return retry_until_answered(write_once)


def look_up(engine: Engine, read: Callable[[Session], T]) -> T:
    """What `read` returns, in a transaction that writes nothing and is as patient as that of `persist`."""

    def read_once() -> T:
        with reading(engine) as session:
            return read(session)

    return retry_until_answered(read_once)


def put_bin_images(reference: Reference, artifacts: Artifacts) -> dict[ArtifactKind, StoredArtifact]:
    """Stores the mean image of each bin; nothing where there are no bins, or no images."""
    return _put_strip(_draw_bin_images(reference), artifacts)


def _draw_bin_images(reference: Reference) -> bytes | None:
    """PNG of the mean image of each bin; None where there are no bins, or no images."""
    reals, bins = reference.reals, reference.bins
    if bins is None or not reals.are_images:
        return None
    return bin_strip(reals.samples, bins.assign(reals.features), len(bins.counts))


def _put_strip(strip: bytes | None, artifacts: Artifacts) -> dict[ArtifactKind, StoredArtifact]:
    return {} if strip is None else {"bins": artifacts.put(strip, "image/png")}


def _picture(report: EpochReport) -> bytes:
    """PNG of the epoch's samples, each between its input and its target where it has them."""
    if report.inputs is None or report.targets is None:
        return sample_grid(report.samples)
    return pair_grid(report.inputs, report.samples, report.targets)


def _spread(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """`count` of the samples [n, *shape], or all, evenly over their order, which may be that of classes."""
    return samples[np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(np.int64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What came of an epoch that was recorded."""

    diagnosis: Diagnosis
    halted_by: Finding | None
    """The finding that has ended the run; None where it goes on, or is over anyway."""
    paused: bool
    """Whether the run is paused now, as was asked for, or handed over: the attempt is over."""
    out_of_time: bool
    """Whether the run has failed, for its time is used up: the attempt is over."""


Ending = Outcome | Literal["paused", "out of time", "handed over"]


class Trained(Protocol):
    """The training whose epochs are recorded."""

    @property
    def spec(self) -> RunSpec: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def discriminator_features(self) -> Embed: ...  # noqa: D102


def _ending(is_last: bool, halted_by: Finding | None, asked_for: Ending | None) -> Ending | None:
    """How the attempt ends with an epoch; None where it goes on."""
    if is_last:
        return "succeeded"
    return asked_for if halted_by is None else "halted"


class Recorder:
    """Records the epochs of one attempt, each with its evaluation and the diagnosis of the run up to it."""

    def __init__(
        self,
        context: AttemptContext,
        training: Trained,
        data: DataArrays,
        *,
        history: History,
        checkpoints: Checkpoints,
    ) -> None:
        spec, device = training.spec, training.device
        self._ticket, self._spec, self._history = context.ticket, spec, history
        self._checkpoints, self._artifacts, self._engine = checkpoints, context.artifacts(), context.engine
        self._refer = partial(
            run_reference,
            spec,
            data,
            context.settings.data,
            device=device,
            cache=Cache(context.settings.cache),
            embed=training.discriminator_features,
        )
        self._evaluate_untrained = partial(self._evaluation_of_untrained, data, device)
        self._untrained: tuple[EpochEvaluation, ...] | None = () if history.evaluations else None
        """Of epoch 0, recorded with the first epoch; None: still to be made."""
        with evaluating():
            self._reference = self._refer()
            self._bin_images = _draw_bin_images(self._reference)
            # What a discriminator sees has to be seen before it learns; all else can wait until steps have been made.
            if self._untrained is None and spec.evaluation.space == "discriminator":
                self._untrained = self._evaluate_untrained()

    def record(
        self, report: EpochReport, state: TrainingState, seconds: float, *, hands_over: bool = False
    ) -> Recorded:
        """Records an epoch that took `seconds` and left the training in `state`; with the last, the run's success.

        Where the spec wants the run halted by what its diagnosis finds, that is recorded with the epoch, too; the
        training ends then. Where a pause was asked for, the run is paused with it; where its time is used up, it fails.
        Each such epoch has a checkpoint. With `hands_over` the run, where it is not over, is queued again.

        Raises:
            LeaseLost: the run is no longer this attempt's; nothing was recorded.
        """
        evaluations = self._evaluate(report)
        history = self._history.after(report, evaluations)
        diagnosis = with_remedies(diagnose(history), self._spec)
        is_last = report.epoch == self._spec.training.epochs
        halted_by = None if is_last else should_halt(diagnosis, self._spec.diagnosis)
        ending = _ending(is_last, halted_by, self._asked_for() or ("handed over" if hands_over else None))
        checkpoint = self._checkpoints.save(state) if ending or self._checkpoint_is_due(report.epoch) else None
        paused = self._write(
            EpochRecord(
                run_id=self._ticket.run_id,
                token=self._ticket.token,
                attempt=self._ticket.attempt,
                epoch=report.epoch,
                first_step=report.first_step,
                steps=report.steps,
                seconds=seconds,
                checkpoint=None if checkpoint is None else checkpoint.name,
                checkpoint_sha256=None if checkpoint is None else checkpoint.sha256,
                evaluations=evaluations,
                diagnosis=diagnosis,
                gradients=report.gradients,
                artifacts=self._pictures(report),
            ),
            ending,
        )
        self._history, self._untrained = replace(history, previous=diagnosis), ()
        if checkpoint is not None:
            self._checkpoints.prune(checkpoint.name, is_healthy=is_harmless(diagnosis.severity))
        return Recorded(diagnosis=diagnosis, halted_by=halted_by, paused=paused, out_of_time=ending == "out of time")

    def _asked_for(self) -> Ending | None:
        """How the attempt is to end because of what the database says."""

        def look(session: Session) -> Ending | None:
            run = lifecycle.find(session, self._ticket.run_id)
            if run is None:
                return None
            if endings.is_out_of_time(session, run):
                return "out of time"
            return "paused" if endings.should_pause(session, run) else None

        return look_up(self._engine, look)

    def _evaluation_of_untrained(self, data: DataArrays, device: torch.device) -> tuple[EpochEvaluation, ...]:
        return (evaluate(self._reference, untrained_fakes(self._spec, device, data), 0),)

    def _evaluate(self, report: EpochReport) -> tuple[EpochEvaluation, ...]:
        with evaluating():
            if self._untrained is None:
                self._untrained = self._evaluate_untrained()
            if report.fakes is None:
                return self._untrained
            if self._spec.evaluation.space == "discriminator":
                self._reference = self._refer()
                self._bin_images = _draw_bin_images(self._reference)
            return (*self._untrained, evaluate(self._reference, report.fakes, report.epoch))

    def _pictures(self, report: EpochReport) -> dict[ArtifactKind, StoredArtifact]:
        """The samples and, of an epoch with NDB, what its bins hold; with the first, as many reals."""
        samples: dict[ArtifactKind, StoredArtifact] = {"samples": self._artifacts.put(_picture(report), "image/png")}
        if report.epoch == 1 and report.inputs is None:  # beside pairs stand their targets
            reals = _spread(self._reference.reals.samples, self._spec.samples.count)
            samples["reals"] = self._artifacts.put(sample_grid(reals), "image/png")
        # Put each time: a file that no row has named for long is deleted.
        return samples if report.fakes is None else samples | _put_strip(self._bin_images, self._artifacts)

    def _checkpoint_is_due(self, epoch: int) -> bool:
        return epoch % self._spec.training.checkpoint_every_epochs == 0

    def _write(self, record: EpochRecord, ending: Ending | None) -> bool:
        """Whether the run was paused; nobody may ask for that any more."""

        def write(session: Session) -> bool:
            if not recording.record_epoch(session, record):
                return endings.outcome_of(session, record.run_id, record.token) in LEFT
            if ending == "paused":
                return endings.pause(session, record.run_id, record.token) is not None
            if ending == "handed over":
                endings.hand_over(session, record.run_id, record.token)
                return True
            if ending == "out of time":
                endings.time_out(session, record.run_id, record.token)
            elif ending is not None:
                endings.finish(session, record.run_id, record.token, ending)
            return False

        return persist(self._engine, write)
