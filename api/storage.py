"""What stored files take."""

from typing import Annotated, Self

from fastapi import APIRouter, Query
from sqlalchemy import Engine

from api.deps import ServicesDep
from api.errors import documented
from api.views import View
from store.core.db import reading
from store.core.settings import Settings
from store.files.usage import OwnerUsage, RunUsage, list_stored, usage_of_runs
from store.scheduling.accounts import Sharing

router = APIRouter(prefix="/storage", tags=["storage"])


class RunStorageView(View):
    """What the files of one run take, in bytes."""

    run_id: str
    name: str | None
    user: str
    artifacts: int
    """Pictures; one that several runs have counts for each of them."""
    checkpoints: int


class OwnerStorageView(View):
    """What the files of one user take, in bytes, each counted once."""

    user: str
    team: str | None
    artifacts: int
    """Pictures, and samples that are compared."""
    uploads: int
    checkpoints: int
    total: int
    quota: int | None
    """From which on what the user sends is refused; null: never."""
    team_quota: int | None
    """From which on that is so of all users of the team together; null: never."""

    @classmethod
    def of(cls, usage: OwnerUsage, sharing: Sharing) -> Self:
        """The view of what was measured."""
        owner = usage.owner
        return cls(
            user=owner.user,
            team=owner.team,
            artifacts=usage.artifacts,
            uploads=usage.uploads,
            checkpoints=usage.checkpoints,
            total=usage.total,
            quota=sharing.quota_of_user(owner.user).storage_bytes,
            team_quota=sharing.quota_of_team(owner.team).storage_bytes,
        )


class StorageView(View):
    """What all stored files take, in bytes, each counted once; and the users and runs that take most."""

    artifacts: int
    """Pictures, and samples that are compared."""
    uploads: int
    checkpoints: int
    total: int
    quota: int | None
    """From which on uploads and new runs are refused; null: never."""
    users: list[OwnerStorageView]
    """Those that take most, most first; a user who was in two teams is there for each."""
    runs: list[RunStorageView]
    """Those that take most, most first."""


@router.get("", responses=documented(422))
def get_storage(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=0, le=1000, description="How many users and runs are listed.")] = 50,
) -> StorageView:
    """Look at what stored files take."""
    usage = services.storage.usage()
    users = services.storage.usages(services.engine) if limit else []
    runs = _measure_runs(services.engine, services.settings) if limit else []
    return StorageView(
        artifacts=usage.artifacts,
        uploads=usage.uploads,
        checkpoints=usage.checkpoints,
        total=usage.total,
        quota=services.settings.storage_quota_bytes,
        users=[OwnerStorageView.of(usage, services.accounts.sharing) for usage in users[:limit]],
        runs=[RunStorageView.model_validate(run) for run in runs[:limit]],
    )


def _measure_runs(engine: Engine, settings: Settings) -> list[RunUsage]:
    stored = list_stored(settings)
    with reading(engine) as session:
        return usage_of_runs(session, stored)
