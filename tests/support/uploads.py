"""Small, valid uploads."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from store import uploads
from store.core.models import Upload
from store.files.artifacts import Artifacts, StoredArtifact
from store.uploads import UploadedSet


def pixels(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def uploaded_set(artifacts: Artifacts, seed: int = 0, **changes: Any) -> UploadedSet:
    """Sixty stored images of 3 x 8 x 8 pixels in two classes."""
    values: dict[str, Any] = {
        "kind": "images",
        "shape": (3, 8, 8),
        "class_counts": (20, 40),
        "class_names": ("cats", "dogs"),
        "samples": _stored(artifacts, pixels(seed, 60, 3, 8, 8)),
        "labels": _stored(artifacts, np.repeat([0, 1], [20, 40])),
    }
    return UploadedSet(**{**values, **changes})


def create_upload(session: Session, artifacts: Artifacts, seed: int = 0, **changes: Any) -> Upload:
    """An upload with its files."""
    return uploads.create(session, uploaded_set(artifacts, seed, **changes), name="pets")


def dataset_of(upload: Upload, **choice: Any) -> dict[str, Any]:
    """The dataset of a spec that trains on it, complete."""
    facts = {"upload": upload.id, "shape": upload.shape, "class_counts": upload.class_counts}
    return {"name": "upload", **facts, **choice}


def _stored(artifacts: Artifacts, array: NDArray[Any]) -> StoredArtifact:
    file = io.BytesIO()
    np.save(file, array)
    return artifacts.put(file.getvalue(), "application/octet-stream")
