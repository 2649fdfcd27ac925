"""What stored files take."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import ServicesDep
from api.errors import documented
from ganlib.wire.storage import OwnerStorageView, RunStorageView, StorageView
from store.files.usage import OwnerUsage
from store.scheduling.accounts import Sharing

router = APIRouter(prefix="/storage", tags=["storage"])


@router.get("", responses=documented(422))
def get_storage(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=0, le=1000, description="How many users and runs are listed.")] = 50,
) -> StorageView:
    """Look at what stored files take."""
    usage = services.storage.usage()
    users = services.storage.usages() if limit else []
    runs = services.storage.usages_of_runs() if limit else []
    return StorageView(
        artifacts=usage.artifacts,
        uploads=usage.uploads,
        checkpoints=usage.checkpoints,
        total=usage.total,
        quota=services.settings.storage_quota_bytes,
        users=tuple(_of_owner(usage, services.accounts.sharing) for usage in users[:limit]),
        runs=tuple(RunStorageView.model_validate(run) for run in runs[:limit]),
    )


def _of_owner(usage: OwnerUsage, sharing: Sharing) -> OwnerStorageView:
    owner = usage.owner
    return OwnerStorageView(
        user=owner.user,
        team=owner.team,
        artifacts=usage.artifacts,
        uploads=usage.uploads,
        checkpoints=usage.checkpoints,
        total=usage.total,
        quota=sharing.quota_of_user(owner.user).storage_bytes,
        team_quota=sharing.quota_of_team(owner.team).storage_bytes,
    )
