"""Samples on their way from a form to the store."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from numpy.typing import NDArray

from ganlib.data.archives import ACCEPTED, save_npy

FILE: dict[str, Any] = {
    "type": "string",
    "format": "binary",
    "description": f"{ACCEPTED}: an array of uint8 images or of floats, or pictures (PNG, JPEG, BMP, WEBP).",
}
"""The schema of a form's field that holds samples."""


@contextmanager
def as_npy(array: NDArray[Any], folder: Path) -> Iterator[BinaryIO]:
    """A file without a name, in `folder`, that holds the samples as they will be stored."""
    with tempfile.TemporaryFile(dir=folder) as temporary:
        file = cast("BinaryIO", temporary)
        save_npy(array, file)
        yield file
