"""How much stored files take, in total and of each run."""

import time
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.errors import StorageFull
from store.models import Artifact, Run
from store.places import artifact_files, checkpoint_files, uploaded_files
from store.settings import Settings

GAUGE_PERIOD = timedelta(seconds=30)  # a list of a bucket costs a request for every 1,000 files


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUsage:
    """What the files of one run take, in bytes."""

    run_id: str
    name: str | None
    user: str
    artifacts: int
    """Pictures; one that several runs have counts for each of them."""
    checkpoints: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What all files take, in bytes, each counted once."""

    artifacts: int
    """Pictures, and samples that are compared."""
    uploads: int
    checkpoints: int

    @property
    def total(self) -> int:
        """Together."""
        return self.artifacts + self.uploads + self.checkpoints


def measure_usage(settings: Settings) -> Usage:
    """What all files take now.

    Raises:
        StoreUnavailable: the store of files does not answer.
    """
    artifacts, uploads, checkpoints = (
        sum(entry.size for entry in files(settings).entries())
        for files in (artifact_files, uploaded_files, checkpoint_files)
    )
    return Usage(artifacts=artifacts, uploads=uploads, checkpoints=checkpoints)


def usage_of_runs(session: Session, settings: Settings) -> list[RunUsage]:
    """What the files of each run take, most first.

    Raises:
        StoreUnavailable: the store of files does not answer.
    """
    artifacts: dict[str, int] = {}
    pictures = select(Artifact.run_id, Artifact.sha256, Artifact.size).distinct()
    for run_id, _, size in session.execute(pictures):
        artifacts[run_id] = artifacts.get(run_id, 0) + size
    checkpoints: dict[str, int] = {}
    for entry in checkpoint_files(settings).entries():
        run_id = entry.name.partition("/")[0]
        checkpoints[run_id] = checkpoints.get(run_id, 0) + entry.size
    found = [
        RunUsage(
            run_id=run_id,
            name=name,
            user=user,
            artifacts=artifacts.get(run_id, 0),
            checkpoints=checkpoints.get(run_id, 0),
        )
        for run_id, name, user in session.execute(select(Run.id, Run.name, Run.user))
        if run_id in artifacts or run_id in checkpoints
    ]
    return sorted(found, key=lambda usage: (-usage.artifacts - usage.checkpoints, usage.run_id))


class StorageGauge:
    """Knows what all files take, as it was a moment ago."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._total = 0
        self._good_until = 0.0

    def require_room(self) -> None:
        """Returns where more may be stored.

        Raises:
            StorageFull: the quota of the service is used up.
            StoreUnavailable: the store of files does not answer.
        """
        quota = self._settings.storage_quota_bytes
        if quota is None:
            return
        if time.monotonic() >= self._good_until:
            self._total = measure_usage(self._settings).total
            self._good_until = time.monotonic() + GAUGE_PERIOD.total_seconds()
        if self._total >= quota:
            raise StorageFull(self._total, quota)
