"""How much stored files take, in total and of each run."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock, Thread
from typing import Generic, TypeVar

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from store.core.db import reading
from store.core.errors import StorageFull, StorageQuotaExceeded, StoreError
from store.core.models import Artifact, Kind, Run, Upload
from store.core.settings import Settings
from store.files.artifacts import hash_of
from store.files.backends import artifact_files, checkpoint_files, uploaded_files
from store.scheduling.accounts import EQUAL, Quota, Sharing
from store.scheduling.owners import Owner
from store.scheduling.quotas import Scope

T = TypeVar("T")
GAUGE_PERIOD = timedelta(seconds=30)  # a list of a bucket costs a request for every 1,000 files

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shares:
    """What the files of each owner and of each run take, found in one list of what is stored."""

    owners: list[OwnerUsage]
    runs: list[RunUsage]


class _Measured(Generic[T]):
    """What was measured last. It holds for `GAUGE_PERIOD`, or until `forget` is called: also while it is measured."""

    def __init__(self, measure: Callable[[], T]) -> None:
        self._measure = measure
        self._measuring = Lock()
        self._found: tuple[T, float, object] | None = None
        """With the end of its time, and what `forget` had been called last when it began."""
        self._since: object = object()

    def forget(self) -> None:
        """It holds no longer; waits for nobody."""
        self._since = object()

    def now(self) -> T:
        """What holds. Of callers at once, one measures and the others wait for what it finds."""
        with self._measuring:
            held = self._held()
            return self._measured() if held is None else held

    def lately(self) -> T | None:
        """What was measured last, without a wait; where that does not hold, it is measured beside. None: never was."""
        if self._found is None:
            return None
        if self._held() is None and not self._measuring.locked():
            Thread(target=self._measure_beside, name="storage", daemon=True).start()
        return self._found[0]

    def _held(self) -> T | None:
        if self._found is None:
            return None
        found, good_until, since = self._found
        return found if since is self._since and time.monotonic() < good_until else None

    def _measured(self) -> T:
        since = self._since
        found = self._measure()
        self._found = (found, time.monotonic() + GAUGE_PERIOD.total_seconds(), since)
        return found

    def _measure_beside(self) -> None:
        if not self._measuring.acquire(blocking=False):
            return
        try:
            self._measured()
        except (StoreError, OSError) as error:
            logger.warning("what stored files take is not measured: %s", error)
        finally:
            self._measuring.release()


class StorageGauge:
    """Knows what all files take, and those of each owner, as it was a moment ago.

    Whoever asks whether there is room waits for a measurement only where the last one says that there is none, or where
    there was none yet: a list of a large bucket takes seconds.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self._usage = _Measured(lambda: measure_usage(settings))
        self._shares = _Measured(self._measure_shares)

    def require_room(self) -> None:
        """Returns where more may be stored.

        Raises:
            StorageFull: the quota of the service is used up.
            StoreUnavailable: the store of files does not answer.
        """
        quota = self._settings.storage_quota_bytes
        if quota is None:
            return
        known = self._usage.lately()
        if known is not None and known.total < quota:
            return
        total = self.usage().total
        if total >= quota:
            raise StorageFull(total, quota)

    def usage(self) -> Usage:
        """What all files took a moment ago.

        Raises:
            StoreUnavailable: the store of files does not answer.
        """
        return self._usage.now()

    def forget(self) -> None:
        """Something was deleted: the next caller measures anew."""
        self._usage.forget()
        self._shares.forget()

    def require_room_of(self, owner: Owner, sharing: Sharing = EQUAL) -> None:
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
                known = self._shares.lately()
                if known is not None and TOTALS[scope](known.owners, name) < quota.storage_bytes:
                    continue
                used = TOTALS[scope](self.usages(), name)
                if used >= quota.storage_bytes:
                    raise StorageQuotaExceeded(scope, name, used=used, quota=quota.storage_bytes)

    def usages(self) -> list[OwnerUsage]:
        """What the files of each owner took a moment ago.

        Raises:
            StoreUnavailable: the store of files does not answer.
            DatabaseUnavailable: the database does not answer.
        """
        return self._shares.now().owners

    def usages_of_runs(self) -> list[RunUsage]:
        """What the files of each run took a moment ago, found in the same list of what is stored.

        Raises:
            StoreUnavailable: the store of files does not answer.
            DatabaseUnavailable: the database does not answer.
        """
        return self._shares.now().runs

    def _measure_shares(self) -> _Shares:
        stored = list_stored(self._settings)  # a bucket's list takes seconds: no transaction waits for it
        with reading(self._engine) as session:
            return _Shares(owners=usage_of_owners(session, stored), runs=usage_of_runs(session, stored))
