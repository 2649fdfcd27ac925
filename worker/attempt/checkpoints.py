"""The checkpoint files of one run. Which of them count is said by the database alone."""

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from ganlib.training import checkpoint
from ganlib.training.checkpoint import CheckpointUnreadable
from ganlib.training.loop import TrainingState
from store.core.errors import FileDamaged, FileMissing
from store.core.models import Epoch
from store.files.local import Files, hash_of_file, room_in

KEPT = 2  # the newest may prove unreadable; beside these, the newest healthy one, which a treatment may begin with
_NAME = re.compile(r"attempt-(?P<attempt>\d+)-epoch-\d+\.safetensors")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCheckpoint:
    """A checkpoint that every host can read."""

    name: str
    """Its attempt is part of it: two attempts never write the same file."""
    sha256: str
    """Of its content."""


class Checkpoints:
    """Writes the checkpoints of one attempt, and reads those of any."""

    def __init__(
        self,
        files: Files,
        run_id: str,
        attempt: int,
        named: Sequence[str],
        healthy: Collection[str] = (),
        hashes: dict[str, str | None] | None = None,
        kept: int = KEPT,
    ) -> None:
        """`named`: the files that the database names, oldest first; `healthy`: those without a harmful finding."""
        self._files, self._run_id, self._attempt, self._kept = files, run_id, attempt, kept
        self._named, self._healthy, self._hashes = list(named), set(healthy), hashes or {}

    @classmethod
    def of(
        cls,
        files: Files,
        run_id: str,
        attempt: int,
        epochs: Sequence[Epoch],
        healthy_epochs: Collection[int] = (),
        kept: int = KEPT,
    ) -> Self:
        """The checkpoints that the run's epochs, in order, name; `kept`: how many of the newest stay."""
        named = {epoch.epoch: epoch.checkpoint for epoch in epochs if epoch.checkpoint is not None}
        healthy = [name for epoch, name in named.items() if epoch in healthy_epochs]
        hashes = {epoch.checkpoint: epoch.checkpoint_sha256 for epoch in epochs if epoch.checkpoint is not None}
        return cls(files, run_id, attempt, list(named.values()), healthy, hashes, kept)

    def load_newest(self) -> TrainingState | None:
        """The newest state that can be read; None where there is none, and the run starts anew."""
        while self._named:
            name = self._named[-1]
            try:
                return load_checkpoint(self._files, self._run_id, name, self._hashes.get(name))
            except CheckpointUnreadable as error:
                logger.warning("going further back: %s", error)
                self._named.pop()
        return None

    def save(self, state: TrainingState) -> SavedCheckpoint:
        """Writes the state here, then shows it to all.

        Raises:
            DiskFull: there is no room for it; the checkpoints before stay as they are.
        """
        name = f"attempt-{self._attempt}-epoch-{state.epoch}.safetensors"
        path = self._files.local_path(self._path(name))
        with room_in(path.parent):
            checkpoint.save(path, state)
        sha256 = hash_of_file(path)
        self._files.publish(self._path(name))
        return SavedCheckpoint(name=name, sha256=sha256)

    def prune(self, newest: str, *, is_healthy: bool = False) -> None:
        """Deletes what is no longer needed once the database names `newest`; healthy: without a harmful finding.

        Leaves the files of later attempts alone: this one may have lost its lease to them without knowing.
        """
        self._named.append(newest)
        if is_healthy:
            self._healthy.add(newest)
        healthy = [name for name in self._named if name in self._healthy]
        kept = {*self._named[-self._kept :], *healthy[-1:]}
        for name in self._shared() - kept:
            if self._is_ours_to_delete(name):
                self._files.delete(self._path(name))
        self._prune_here(kept)

    def _shared(self) -> set[str]:
        return {entry.name.rpartition("/")[2] for entry in self._files.entries(self._run_id)}

    def _prune_here(self, kept: set[str]) -> None:
        """Of this host: copies, and files that were never finished."""
        for path in self._files.local_path(self._run_id).iterdir():
            if self._is_ours_to_delete(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)

    def _is_ours_to_delete(self, name: str) -> bool:
        found = _NAME.search(name)  # also in the name of a file that was never finished
        return found is not None and int(found["attempt"]) <= self._attempt

    def _path(self, name: str) -> str:
        return f"{self._run_id}/{name}"


def load_checkpoint(files: Files, run_id: str, name: str, sha256: str | None) -> TrainingState:
    """The state in a run's checkpoint, wherever it was written.

    Raises:
        CheckpointUnreadable: it is missing, damaged or not a checkpoint.
    """
    try:
        return checkpoint.load(files.fetch(f"{run_id}/{name}", sha256))
    except (FileMissing, FileDamaged) as error:
        raise CheckpointUnreadable(str(error)) from None
