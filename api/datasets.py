"""The data sets that a spec can name."""

from fastapi import APIRouter

from ganlib.spec.catalog import DATASETS, DatasetInfo
from ganlib.wire.catalog import DatasetList, DatasetView

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.get("")
def list_datasets() -> DatasetList:
    """List the data sets."""
    return DatasetList(items=tuple(_view(name, info) for name, info in sorted(DATASETS.items())))


def _view(name: str, info: DatasetInfo) -> DatasetView:
    return DatasetView(
        name=name, title=info.title, shape=info.shape, class_counts=info.class_counts, source=info.source
    )
