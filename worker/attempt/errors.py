"""Errors that a training process tells its worker, instead of dying of them."""

from ganlib.data.load import DatasetUnavailable
from ganlib.evaluation.extractors import ExtractorUnavailable
from ganlib.evaluation.reference import InvalidComparison
from ganlib.spec.network_plugins import NetworkUnavailable
from ganlib.training.checkpoint import CheckpointUnreadable
from store.core.errors import ArtifactNotFound, DiskFull, FileDamaged, UploadNotFound
from worker.attempt.device import DeviceUnavailable
from worker.attempt.out_of_memory import OutOfMemory
from worker.messages import Failed

FINAL_ERRORS = (
    ArtifactNotFound,
    CheckpointUnreadable,
    DatasetUnavailable,
    ExtractorUnavailable,
    FileDamaged,
    InvalidComparison,
    NetworkUnavailable,
    OutOfMemory,
    UploadNotFound,
)
"""Another attempt would end the same way."""
LOCAL_ERRORS = (DeviceUnavailable, DiskFull)
"""Another attempt, on another host or later, may not: this one is lost, and counts."""


def as_told(error: Exception, run_id: str | None = None) -> Failed:
    """What the worker is told of one of these errors; `run_id` where it is one run's of several."""
    return Failed(
        run_id=run_id,
        kind=type(error).__name__,
        error=str(error),
        is_final=isinstance(error, FINAL_ERRORS),
        is_local=isinstance(error, LOCAL_ERRORS),
    )
