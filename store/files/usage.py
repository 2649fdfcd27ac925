"""How much stored files take, in total and of each run."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from store.core.db import reading
from store.core.errors import StorageFull, StorageQuotaExceeded
from store.core.models import Artifact, Kind, Run, Upload
from store.core.settings import Settings
from store.files.artifacts import hash_of
from store.files.backends import artifact_files, checkpoint_files, uploaded_files
from store.scheduling.accounts import EQUAL, Quota, Sharing
from store.scheduling.owners import Owner
from store.scheduling.quotas import Scope

GAUGE_PERIOD = timedelta(seconds=30)  # a list of a bucket costs a request for every 1,000 files


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUsage:
    """What the files of one run, or comparison, take, in bytes."""

    run_id: str
    kind: Kind
    name: str | None
    user: str
    artifacts: int
    """Pictures, and samples that are compared; what several have counts for each of them."""
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
        """Bytes of all together."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What stored files take, in bytes."""

    artifacts: Mapping[str, int]
    """Each, by its SHA-256."""
    checkpoints: Mapping[str, int]
    """Those of each run, by its id."""


def list_stored(settings: Settings) -> Stored:
    """What is stored now; it takes a while, and is best done outside of a transaction.

    Raises:
        StoreUnavailable: the store of files does not answer.
    """
    checkpoints: dict[str, int] = defaultdict(int)
    for entry in checkpoint_files(settings).entries():
        checkpoints[entry.name.partition("/")[0]] += entry.size
    artifacts = {hash_of(entry.name): entry.size for entry in artifact_files(settings).entries()}
    return Stored(artifacts=artifacts, checkpoints=dict(checkpoints))


def usage_of_runs(session: Session, stored: Stored) -> list[RunUsage]:
    """What the files of each run and comparison take, most first."""
    artifacts: dict[str, int] = {}
    pictures = select(Artifact.run_id, Artifact.sha256, Artifact.size).distinct()
    for run_id, _, size in session.execute(pictures):
        artifacts[run_id] = artifacts.get(run_id, 0) + size
    compared = select(Run.id, Run.spec["reals"].as_string(), Run.spec["fakes"].as_string())
    for run_id, *hashes in session.execute(compared.where(Run.kind == "comparison")):
        samples = sum(stored.artifacts.get(sha256, 0) for sha256 in set(hashes))
        artifacts[run_id] = artifacts.get(run_id, 0) + samples
    found = [
        RunUsage(
            run_id=run_id,
            kind=kind,
            name=name,
            user=user,
            artifacts=artifacts.get(run_id, 0),
            checkpoints=stored.checkpoints.get(run_id, 0),
        )
        for run_id, kind, name, user in session.execute(select(Run.id, Run.kind, Run.name, Run.user))
        if run_id in artifacts or run_id in stored.checkpoints
    ]
    return sorted(found, key=lambda usage: (-usage.artifacts - usage.checkpoints, usage.run_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerUsage:
    """What the files of one owner take, in bytes, each counted once."""

    owner: Owner
    artifacts: int
    """Pictures, and samples that are compared."""
    uploads: int
    checkpoints: int

    @property
    def total(self) -> int:
        """Bytes of all together."""
        return self.artifacts + self.uploads + self.checkpoints


def usage_of_owners(session: Session, stored: Stored) -> list[OwnerUsage]:
    """What the files of each owner take, most first; what two owners have counts for both."""
    owner_of = {row.id: Owner(user=row.user, team=row.team) for row in session.execute(_OWNERS)}
    checkpoints: dict[Owner, int] = defaultdict(int)
    for run_id, size in stored.checkpoints.items():
        owner = owner_of.get(run_id)
        if owner is not None:
            checkpoints[owner] += size
    artifacts = _sizes_of_artifacts(session, stored)
    uploads: dict[Owner, int] = defaultdict(int)
    for upload in session.scalars(select(Upload)):
        uploads[Owner(user=upload.user, team=upload.team)] += upload.size
    found = [
        OwnerUsage(owner=owner, artifacts=artifacts[owner], uploads=uploads[owner], checkpoints=checkpoints[owner])
        for owner in {*artifacts, *uploads, *checkpoints}
    ]
    return sorted(found, key=lambda usage: (-usage.total, usage.owner.id))


_OWNERS = select(Run.id, Run.user, Run.team)


def _sizes_of_artifacts(session: Session, stored: Stored) -> dict[Owner, int]:
    sizes: dict[Owner, int] = defaultdict(int)
    pictures = select(Run.user, Run.team, Artifact.sha256, Artifact.size).join(Run, Run.id == Artifact.run_id)
    for user, team, _, size in session.execute(pictures.distinct()):
        sizes[Owner(user=user, team=team)] += size
    spec = Run.spec
    compared = select(Run.user, Run.team, spec["reals"].as_string(), spec["fakes"].as_string())
    named: dict[Owner, set[str]] = defaultdict(set)
    for user, team, *hashes in session.execute(compared.where(Run.kind == "comparison")):
        named[Owner(user=user, team=team)].update(hashes)
    for owner, hashes in named.items():
        sizes[owner] += sum(stored.artifacts.get(sha256, 0) for sha256 in hashes)
    return sizes


def total_of_user(usages: Iterable[OwnerUsage], user: str) -> int:
    """What the files of a user take, in whichever team."""
    return sum(usage.total for usage in usages if usage.owner.user == user)


def total_of_team(usages: Iterable[OwnerUsage], team: str) -> int:
    """What the files of all users of a team take."""
    return sum(usage.total for usage in usages if usage.owner.team == team)


TOTALS: dict[Scope, Callable[[Iterable[OwnerUsage], str], int]] = {"user": total_of_user, "team": total_of_team}
"""What the files of a user or a team take."""


class StorageGauge:
    """Knows what all files take, and those of each owner, as it was a moment ago.

    Of callers at once, one measures and the others wait for what it finds.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._measuring_total = Lock()
        self._usage = Usage(artifacts=0, uploads=0, checkpoints=0)
        self._good_until = 0.0
        self._measuring_usages = Lock()
        self._usages: list[OwnerUsage] = []
        self._runs: list[RunUsage] = []
        self._usages_good_until = 0.0

    def require_room(self) -> None:
        """Returns where more may be stored.

        Raises:
            StorageFull: the quota of the service is used up.
            StoreUnavailable: the store of files does not answer.
        """
        quota = self._settings.storage_quota_bytes
        if quota is None:
            return
        total = self.usage().total
        if total >= quota:
            raise StorageFull(total, quota)

    def usage(self) -> Usage:
        """What all files took a moment ago.

        Raises:
            StoreUnavailable: the store of files does not answer.
        """
        with self._measuring_total:
            if time.monotonic() >= self._good_until:
                self._usage = measure_usage(self._settings)
                self._good_until = time.monotonic() + GAUGE_PERIOD.total_seconds()
            return self._usage

    def forget(self) -> None:
        """Something was deleted: the next caller measures anew."""
        with self._measuring_total, self._measuring_usages:
            self._good_until = self._usages_good_until = 0.0

    def require_room_of(self, owner: Owner, engine: Engine, sharing: Sharing = EQUAL) -> None:
        """Returns where the owner may store more.

        Raises:
            StorageQuotaExceeded: the quota of the user, or of the team, is used up.
            StoreUnavailable: the store of files does not answer.
            DatabaseUnavailable: the database does not answer.
        """
        of_user, of_team = sharing.quota_of_user(owner.user), sharing.quota_of_team(owner.team)
        scopes: tuple[tuple[Scope, str | None, Quota], ...] = (
            ("user", owner.user, of_user),
            ("team", owner.team, of_team),
        )
        for scope, name, quota in scopes:
            if name is not None and quota.storage_bytes is not None:
                used = TOTALS[scope](self.usages(engine), name)
                if used >= quota.storage_bytes:
                    raise StorageQuotaExceeded(scope, name, used=used, quota=quota.storage_bytes)

    def usages(self, engine: Engine) -> list[OwnerUsage]:
        """What the files of each owner took a moment ago.

        Raises:
            StoreUnavailable: the store of files does not answer.
            DatabaseUnavailable: the database does not answer.
        """
        return self._measured(engine)[0]

    def usages_of_runs(self, engine: Engine) -> list[RunUsage]:
        """What the files of each run took a moment ago, found in the same list of what is stored.

        Raises:
            StoreUnavailable: the store of files does not answer.
            DatabaseUnavailable: the database does not answer.
        """
        return self._measured(engine)[1]

    def _measured(self, engine: Engine) -> tuple[list[OwnerUsage], list[RunUsage]]:
        with self._measuring_usages:
            if time.monotonic() >= self._usages_good_until:
                stored = list_stored(self._settings)  # a bucket's list takes seconds: no transaction waits for it
                with reading(engine) as session:
                    self._usages, self._runs = usage_of_owners(session, stored), usage_of_runs(session, stored)
                self._usages_good_until = time.monotonic() + GAUGE_PERIOD.total_seconds()
            return self._usages, self._runs
