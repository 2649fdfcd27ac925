"""Errors that a training process tells its worker, instead of dying of them."""

from ganlib.data.load import DatasetUnavailable
from ganlib.evaluation.extractors import ExtractorUnavailable
from ganlib.evaluation.reference import InvalidComparison
from ganlib.spec.network_plugins import NetworkUnavailable
from ganlib.training.checkpoint import CheckpointUnreadable
from store.core.errors import ArtifactNotFound, DiskFull, FileDamaged, UploadNotFound
from worker.attempt.device import DeviceUnavailable
from worker.attempt.out_of_memory import OutOfMemory

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
