"""What stored files take."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Reader, ServicesDep
from api.errors import documented
from api.views import View
from store.storage import measure_usage, usage_of_runs

router = APIRouter(prefix="/storage", tags=["storage"])


class RunStorageView(View):
    """What the files of one run take, in bytes."""

    run_id: str
    name: str | None
    user: str
    artifacts: int
    """Pictures; one that several runs have counts for each of them."""
    checkpoints: int


class StorageView(View):
    """What all stored files take, in bytes, each counted once; and the runs that take most."""

    artifacts: int
    """Pictures, and samples that are compared."""
    uploads: int
    checkpoints: int
    total: int
    quota: int | None
    """From which on uploads and new runs are refused; null: never."""
    runs: list[RunStorageView]
    """Those that take most, most first."""


@router.get("", responses=documented(422))
def get_storage(
    session: Reader,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=0, le=1000, description="How many runs are listed.")] = 50,
) -> StorageView:
    """Look at what stored files take."""
    usage = measure_usage(services.settings)
    runs = usage_of_runs(session, services.settings) if limit else []
    return StorageView(
        artifacts=usage.artifacts,
        uploads=usage.uploads,
        checkpoints=usage.checkpoints,
        total=usage.total,
        quota=services.settings.storage_quota_bytes,
        runs=[RunStorageView.model_validate(run) for run in runs[:limit]],
    )
