"""Uploads: sets of samples that runs train on."""

import io
from typing import Any

import numpy as np
from fastapi import APIRouter, BackgroundTasks, Request, Response
from starlette.concurrency import run_in_threadpool

from api.deletion import delete_files_of_upload
from api.deps import CallerDep, Reader, Services, ServicesDep, StorageRoom, UploadId, Writer, require_is_of
from api.errors import documented
from api.http.arrays import FILE, as_npy, form_body
from api.http.concurrency import READING_TURNS
from api.http.multipart import Form, receive_form
from api.requests import UploadOptions
from api.sandbox.reader import read_apart
from api.views import fields_of
from ganlib.data.archives import DifferentSizes, InvalidUpload, Limits, ReadSamples
from ganlib.data.samples import blocks
from ganlib.spec.data import LARGEST_SIDE, MAX_CLASSES, SMALLEST_SIDE
from ganlib.spec.request import InvalidRequest
from ganlib.wire.paths import upload_path
from ganlib.wire.uploads import UploadKind, UploadList, UploadView
from store import uploads
from store.core.db import transaction
from store.core.models import Upload
from store.files.artifacts import StoredArtifact
from store.scheduling.owners import Owner
from store.uploads import UploadedSet

NPY = "application/octet-stream"
FORM = form_body(
    {
        "file": FILE,
        "name": {"type": "string", "description": "A name for people."},
        "image_size": {
            "type": "integer",
            "minimum": SMALLEST_SIDE,
            "maximum": LARGEST_SIDE,
            "description": "Keep the centre square of each picture, resized to so many pixels a side; "
            "pictures may then have different sizes.",
        },
        "pairs": {
            "type": "boolean",
            "default": False,
            "description": "The file holds pairs, for the data set `upload-pairs`: two folders whose "
            "pictures have the same names, as A/1.png and B/1.png, or an .npz of two arrays.",
        },
        "convert": {
            "type": "string",
            "enum": ["grey", "rgb"],
            "description": "What the colours of every picture become; without it, all have to be grey "
            "or all coloured. Pictures are stored as a viewer shows them: turned as EXIF says, what is "
            "transparent on white, 16 bits as 8.",
        },
    },
    required=("file",),
)

router = APIRouter(prefix="/uploads", tags=["uploads"])


@router.post(
    "",
    status_code=201,
    dependencies=[StorageRoom],
    openapi_extra=FORM,
    responses={201: {"headers": {"Location": {"schema": {"type": "string"}}}}, **documented(400, 413, 415, 422, 507)},
)
async def create_upload(request: Request, services: ServicesDep, response: Response, caller: CallerDep) -> UploadView:
    """Store a set of samples for runs to train on. The same set is stored once, whatever its name."""
    form_of = receive_form(request, services.settings.uploads, ("file",), ("name", "image_size", "pairs", "convert"))
    async with form_of as form, READING_TURNS.limiter():
        upload = await run_in_threadpool(_create, form, services, caller.owner)
    response.headers["Location"] = upload_path(upload.id)
    return _view(upload)


def _create(form: Form, services: Services, owner: Owner) -> Upload:
    """The upload that the form holds, stored; nothing is stored unless all of it is valid."""
    options = UploadOptions.of(form.texts)
    samples = _read(form, options, services)
    counts = [len(samples.array)] if samples.labels is None else np.bincount(samples.labels).tolist()
    artifacts = services.uploaded
    labels = None if samples.labels is None else _packed(samples.labels)
    with as_npy(samples.array, services.settings.uploads) as file:

        def put() -> UploadedSet:
            return UploadedSet(
                kind=_kind(samples, options),
                shape=samples.shape,
                class_counts=tuple(counts),
                class_names=tuple(_printable(name) for name in samples.class_names),
                samples=artifacts.put_file(file, NPY),
                labels=None if labels is None else artifacts.put(labels, NPY),
            )

        uploaded = put()  # before the row, which may not name what is not there
        with transaction(services.engine) as session:
            upload = uploads.create(session, uploaded, name=options.name, owner=owner)
            if not all(artifacts.has(part.sha256) for part in _parts(uploaded)):
                put()  # the same set was deleted meanwhile; the row is ours now
            return upload


def _read(form: Form, options: UploadOptions, services: Services) -> ReadSamples:
    settings = services.settings
    limits = Limits(unpacked_bytes=settings.max_unpacked_bytes, scratch=settings.uploads)
    try:
        samples = read_apart(
            form.files["file"], limits, options.image_size, pairs=options.pairs, convert=options.convert
        )
        _check(samples)
    except DifferentSizes as error:
        cure = "or send image_size, to which the centre square of each is resized"
        raise InvalidRequest({"file": f"{error}, {cure}"}) from None
    except InvalidUpload as error:
        raise InvalidRequest({"file": str(error)}) from None
    return samples


def _kind(samples: ReadSamples, options: UploadOptions) -> UploadKind:
    if options.pairs:
        return "pairs"
    return "images" if samples.array.dtype == np.uint8 else "points"


def _check(samples: ReadSamples) -> None:
    """Returns where a run can be trained on the samples.

    Raises:
        InvalidUpload: it cannot.
    """
    if len(samples.class_names) > MAX_CLASSES:
        raise InvalidUpload(
            f"has pictures in {len(samples.class_names):,} folders, and each is a class; allowed: {MAX_CLASSES:,}. "
            "Put them into fewer, or into one"
        )
    if samples.array.dtype == np.uint8:
        return
    if samples.array.ndim != 2:
        raise InvalidUpload("holds floats that are no points [n, d]; images have to be uint8, 0 to 255")
    if max(float(np.abs(block).max()) for block in blocks(samples.array)) > 1:
        raise InvalidUpload("holds points beyond -1 to 1; scale them, as generators begin there")


def _packed(labels: np.ndarray[Any, np.dtype[np.int64]]) -> bytes:
    file = io.BytesIO()
    np.save(file, labels, allow_pickle=False)
    return file.getvalue()


def _printable(name: str) -> str:
    """A folder's name, short and without what would reach into terminals."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name)[:200]


def _parts(uploaded: UploadedSet) -> list[StoredArtifact]:
    return [part for part in (uploaded.samples, uploaded.labels) if part is not None]


@router.get("")
def list_uploads(session: Reader) -> UploadList:
    """List the uploaded sets, newest first."""
    return UploadList(items=tuple(_view(upload) for upload in uploads.list_uploads(session)))


@router.get("/{upload_id}", responses=documented(404))
def get_upload(upload_id: UploadId, session: Reader) -> UploadView:
    """Look at an uploaded set."""
    return _view(uploads.get(session, upload_id))


@router.delete("/{upload_id}", status_code=204, responses=documented(403, 404, 409))
def delete_upload(
    upload_id: UploadId, session: Writer, services: ServicesDep, background: BackgroundTasks, caller: CallerDep
) -> None:
    """Delete an uploaded set with its files. One that a queued or running run trains on stays."""
    upload = uploads.get(session, upload_id)
    require_is_of(caller, Owner(user=upload.user, team=upload.team), "upload")
    sha256s = uploads.delete(session, upload_id)
    background.add_task(delete_files_of_upload, services, upload_id, sha256s)  # runs after the commit


def _view(upload: Upload) -> UploadView:
    return UploadView(**fields_of(UploadView, upload), links={"self": upload_path(upload.id)})
