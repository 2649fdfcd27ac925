"""What a diagnosis reads: the recorded past of one run up to an epoch, from our trainer or anybody's."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ganlib.diagnosis.verdict import Diagnosis
from ganlib.records import STEP_COLUMNS, EpochEvaluation, EpochReport, LayerGradients

FEWEST_ROWS = 5
"""Of which a median still holds where two rows are wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A run's record up to its last finished epoch."""

    objective: str
    """The spec's objective; rules on loss levels hold for binary cross-entropy only."""
    steps_per_epoch: int
    epochs_total: int
    steps: NDArray[np.float32]
    """[T, len(STEP_COLUMNS)] of all steps so far; not-a-number in columns that were not recorded."""
    columns: tuple[str, ...] = STEP_COLUMNS
    """Those of STEP_COLUMNS that were recorded."""
    evaluations: tuple[EpochEvaluation, ...] = ()
    """In order of epochs; epoch 0 is the untrained generator, where it was evaluated."""
    gradients: tuple[LayerGradients, ...] = ()
    """In order of steps."""
    previous: Diagnosis | None = None
    """The diagnosis one epoch earlier, from which findings take the epoch they were first seen."""
    bounded: tuple[str, ...] = ()
    """Those of `columns` that are bounded only; an accuracy of .5 then says nothing."""
    updates_per_row: float = 1.0
    """From one row of `steps` to the next; more than 1 where a trainer logs a sample, or means, of its steps."""
    epochs: int | None = None
    """Finished epochs, where they are not equally long."""

    @property
    def updates(self) -> int:
        """Generator updates that the rows of `steps` stand for."""
        return round(len(self.steps) * self.updates_per_row)

    def rows_of(self, updates: int) -> int:
        """Rows that cover so many updates; no fewer than FEWEST_ROWS, which cover more where rows are rare."""
        if self.updates_per_row <= 1:
            return updates
        return max(math.ceil(updates / self.updates_per_row), min(updates, FEWEST_ROWS))

    @property
    def epoch(self) -> int:
        """The last finished epoch."""
        return len(self.steps) // self.steps_per_epoch if self.epochs is None else self.epochs

    def after(self, report: EpochReport, evaluations: tuple[EpochEvaluation, ...]) -> "History":
        """The history with one epoch more; `previous` stays as it is."""
        return replace(
            self,
            steps=np.concatenate([self.steps, report.steps]),
            evaluations=(*self.evaluations, *evaluations),
            gradients=(*self.gradients, *report.gradients),
        )

    def until(self, epoch: int, previous: Diagnosis | None) -> "History":
        """The history as it was after that epoch, whose forerunner had the diagnosis `previous`."""
        last = epoch * self.steps_per_epoch
        return replace(
            self,
            steps=self.steps[:last],
            evaluations=tuple(e for e in self.evaluations if e.epoch <= epoch),
            gradients=tuple(g for g in self.gradients if g.step <= last),
            previous=previous,
        )
