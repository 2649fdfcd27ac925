"""The checkpoint files of one run. Which of them count is said by the database alone."""

import logging
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self

from ganlib import checkpoint
from ganlib.checkpoint import CheckpointUnreadable
from ganlib.train import TrainingState
from store.models import Epoch

KEPT = 2  # the newest may prove unreadable; beside these, the newest healthy one, which a treatment may begin with
_NAME = re.compile(r"attempt-(?P<attempt>\d+)-epoch-\d+\.safetensors")

logger = logging.getLogger(__name__)


class Checkpoints:
    """Writes the checkpoints of one attempt, and reads those of any."""

    def __init__(self, directory: Path, attempt: int, named: Sequence[str], healthy: Collection[str] = ()) -> None:
        """`named`: the files that the database names, oldest first; `healthy`: those without a harmful finding."""
        self._directory, self._attempt = directory, attempt
        self._named, self._healthy = list(named), set(healthy)

    @classmethod
    def of(cls, directory: Path, attempt: int, epochs: Sequence[Epoch], healthy_epochs: Collection[int] = ()) -> Self:
        """The checkpoints that the run's epochs, in order, name."""
        named = {epoch.epoch: epoch.checkpoint for epoch in epochs if epoch.checkpoint is not None}
        healthy = [name for epoch, name in named.items() if epoch in healthy_epochs]
        return cls(directory, attempt, list(named.values()), healthy)

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

    def prune(self, newest: str, *, is_healthy: bool = False) -> None:
        """Deletes what is no longer needed once the database names `newest`; healthy: without a harmful finding.

        Leaves the files of later attempts alone: this one may have lost its lease to them without knowing.
        """
        self._named.append(newest)
        if is_healthy:
            self._healthy.add(newest)
        healthy = [name for name in self._named if name in self._healthy]
        kept = {*self._named[-KEPT:], *healthy[-1:]}
        for path in self._directory.iterdir():
            found = _NAME.search(path.name)  # also in the name of a file that was never finished
            if found and int(found["attempt"]) <= self._attempt and path.name not in kept:
                path.unlink(missing_ok=True)
