"""Uploads: sets of samples that runs train on."""

from datetime import datetime
from typing import Annotated, Literal

from ganlib.wire.view import View, WrittenAs

UploadKind = Literal["images", "points", "pairs"]


class UploadLinks(View):
    """Paths of everything that belongs to an upload."""

    self: str


class UploadView(View):
    """An uploaded set of samples, for specs whose `dataset` has the name `upload` and this id as `upload`.

    Of images, `upload-edges` makes pairs of edges and images; of pairs, `upload-pairs` those that were uploaded.
    """

    id: str
    """The same set has the same id."""
    name: str | None
    kind: UploadKind
    """`pairs`: each image of one class has its partner in the other."""
    count: int
    """Samples; of pairs, the images of both folders."""
    shape: tuple[int, ...]
    """Of one sample: (channels, height, width) for images, (d) for points."""
    class_names: tuple[str, ...]
    """Folders of the pictures, in the order of their labels; empty where nothing tells classes apart."""
    class_counts: tuple[int, ...]
    """Samples in each class; all of them, as one number, where there are no classes."""
    size: int
    """Of the stored files, in bytes."""
    created_at: datetime
    links: Annotated[dict[str, str], WrittenAs(lambda: UploadLinks)]


class UploadList(View):
    """All uploads, newest first."""

    items: tuple[UploadView, ...]
