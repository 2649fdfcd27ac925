"""Samples on their way from a form to the store."""

import tempfile
from collections.abc import Iterator, Sequence
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


def form_body(properties: dict[str, Any], *, required: Sequence[str], **content: Any) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes a form with these fields; `content` says more of them all."""
    schema = {"type": "object", "required": list(required), "additionalProperties": False, "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema, **content}}}}


@contextmanager
def as_npy(array: NDArray[Any], folder: Path) -> Iterator[BinaryIO]:
    """A file without a name, in `folder`, that holds the samples as they will be stored."""
    with tempfile.TemporaryFile(dir=folder) as temporary:
        file = cast("BinaryIO", temporary)
        save_npy(array, file)
        yield file
