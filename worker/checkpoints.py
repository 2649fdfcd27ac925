"""The checkpoint files of one run. Which of them count is said by the database alone."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from ganlib import checkpoint
from ganlib.checkpoint import CheckpointUnreadable
from ganlib.train import TrainingState
from store.models import Epoch

KEPT = 2  # the newest may prove unreadable
_NAME = re.compile(r"attempt-(?P<attempt>\d+)-epoch-\d+\.safetensors")

logger = logging.getLogger(__name__)


class Checkpoints:
    """Writes the checkpoints of one attempt, and reads those of any."""

    def __init__(self, directory: Path, attempt: int, named: Sequence[str]) -> None:
        """`named`: the files that the database names, oldest first."""
        self._directory, self._attempt = directory, attempt
        self._named = list(named)

    @classmethod
    def of(cls, directory: Path, attempt: int, epochs: Sequence[Epoch]) -> Self:
        """The checkpoints that the run's epochs, in order, name."""
        return cls(directory, attempt, [epoch.checkpoint for epoch in epochs if epoch.checkpoint is not None])

    def load_newest(self) -> TrainingState | None:
        """The newest state that can be read; None where there is none, and the run starts anew."""
        while self._named:
            try:
                return checkpoint.load(self._directory / self._named[-1])
            except CheckpointUnreadable as error:
                logger.warning("going further back: %s", error)
                self._named.pop()
        return None

    def save(self, state: TrainingState) -> str:
        """Writes the state; the file's name, which the attempt is part of: two attempts never write the same file."""
        name = f"attempt-{self._attempt}-epoch-{state.epoch}.safetensors"
        checkpoint.save(self._directory / name, state)
        return name

    def prune(self, newest: str) -> None:
        """Deletes what is no longer needed once the database names `newest`.

        Leaves the files of later attempts alone: this one may have lost its lease to them without knowing.
        """
        self._named = [*self._named, newest][-KEPT:]
        for path in self._directory.iterdir():
            found = _NAME.search(path.name)  # also in the name of a file that was never finished
            if found and int(found["attempt"]) <= self._attempt and path.name not in self._named:
                path.unlink(missing_ok=True)
