"""What every part of an attempt works with."""

from dataclasses import dataclass

from sqlalchemy import Engine

from store.core.settings import Settings
from store.files.artifacts import Artifacts
from store.files.backends import artifact_files, uploaded_files
from worker.attempt.channel import Channel
from worker.attempt.retry import RetryingFiles
from worker.messages import Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptContext:
    """One attempt's ticket, its line to the worker, and where everything is stored."""

    ticket: Ticket
    channel: Channel
    engine: Engine
    settings: Settings

    def artifacts(self) -> Artifacts:
        """The files that rows name by their hashes."""
        return Artifacts(RetryingFiles(artifact_files(self.settings), self.channel))

    def uploaded(self) -> Artifacts:
        """The files of uploads."""
        return Artifacts(RetryingFiles(uploaded_files(self.settings), self.channel))
