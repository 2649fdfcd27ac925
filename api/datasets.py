"""The data sets that a spec can name."""

from fastapi import APIRouter

from api.schemas import DatasetList, DatasetView
from ganlib.spec.catalog import DATASETS

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.get("")
def list_datasets() -> DatasetList:
    """List the data sets."""
    return DatasetList(items=[DatasetView.of(name, info) for name, info in sorted(DATASETS.items())])
