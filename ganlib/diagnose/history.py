"""What a diagnosis reads: the recorded past of one run up to an epoch, from our trainer or anybody's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.diagnose.verdict import Diagnosis
from ganlib.report import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A run's record up to its last finished epoch."""

    objective: str
    """The spec's objective; rules on loss levels hold for binary cross-entropy only."""
    steps_per_epoch: int
    epochs_total: int
    steps: NDArray[np.float32]
    """[T, len(STEP_COLUMNS)] of all steps so far."""
    evaluations: tuple[Evaluation, ...]
    """In order of epochs; epoch 0 is the untrained generator, where it was evaluated."""
    previous: Diagnosis | None = None
    """The diagnosis one epoch earlier, from which findings take the epoch they were first seen."""

    @property
    def epoch(self) -> int:
        """The last finished epoch."""
        return len(self.steps) // self.steps_per_epoch
