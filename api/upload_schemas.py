"""What the API answers of uploads, and of comparisons of uploaded samples."""

from datetime import datetime
from typing import Any, Self

from api.runs.record_schemas import EvaluationView
from api.views import View, fields_of
from ganlib.spec.comparison import ComparisonSpec
from ganlib.spec.request import ComparisonOptions
from store.core.models import Run, Status, Upload, UploadKind


class ComparisonLinks(View):
    """Paths of everything that belongs to an evaluation of uploaded samples."""

    self: str
    ndb_figure: str


class ComparisonView(View):
    """An evaluation of uploaded samples as it is now."""

    id: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    """Number of the last attempt; 0 before the first."""
    cancel_requested: bool
    n_real: int
    """Real samples that were uploaded."""
    n_fake: int
    """Fakes that were uploaded."""
    shape: list[int]
    """Of one sample: (channels, height, width) for images."""
    options: ComparisonOptions
    """With every default written out."""
    error: str | None
    """Why it failed."""
    error_kind: str | None
    links: ComparisonLinks

    @classmethod
    def of(cls, run: Run, **more: Any) -> Self:
        """The view of a stored comparison."""
        spec = ComparisonSpec.model_validate(run.spec)
        path = comparison_path(run.id)
        return cls(
            **fields_of(cls, run),
            n_real=spec.n_real,
            n_fake=spec.n_fake,
            shape=list(spec.shape),
            options=ComparisonOptions.of(spec),
            links=ComparisonLinks(self=path, ndb_figure=f"{path}/figures/ndb.png"),
            **more,
        )


def comparison_path(comparison_id: str) -> str:
    """Path of an evaluation of uploaded samples."""
    return f"/v1/evaluations/{comparison_id}"


class ComparisonDetail(ComparisonView):
    """An evaluation of uploaded samples with what it found."""

    evaluation: EvaluationView | None
    """Null before its success."""


class ComparisonPage(View):
    """A part of the list of evaluations of uploaded samples, newest first."""

    items: list[ComparisonView]
    next_cursor: str | None
    """`cursor` of the next page; null on the last."""


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
    shape: list[int]
    """Of one sample: (channels, height, width) for images, (d) for points."""
    class_names: list[str]
    """Folders of the pictures, in the order of their labels; empty where nothing tells classes apart."""
    class_counts: list[int]
    """Samples in each class; all of them, as one number, where there are no classes."""
    size: int
    """Of the stored files, in bytes."""
    created_at: datetime
    links: UploadLinks

    @classmethod
    def of(cls, upload: Upload) -> Self:
        """The view of a stored upload."""
        return cls(**fields_of(cls, upload), links=UploadLinks(self=upload_path(upload.id)))


def upload_path(upload_id: str) -> str:
    """Path of an upload."""
    return f"/v1/uploads/{upload_id}"


class UploadList(View):
    """All uploads, newest first."""

    items: list[UploadView]
