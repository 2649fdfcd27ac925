"""From requests to specs, with every field that is wrong."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

from sqlalchemy.orm import Session

from ganlib.spec.request import Document, InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec
from ganlib.wire.problems import MAX_FIELD_PROBLEMS
from store import uploads
from store.core.errors import UploadNotFound

UPLOADED = frozenset({"upload", "upload-edges", "upload-pairs"})
"""Names of data sets that are uploads."""


def resolve(request: RunRequest, session: Session) -> RunSpec:
    """The spec that the request asks for; an upload that it names stays until the transaction's end.

    Raises:
        InvalidRequest: it gives none.
    """
    try:
        return request.resolve(partial(_with_upload, session))
    except RecursionError:  # a document that json.loads just managed may be too deep for what comes after it
        raise InvalidRequest({"spec": "is nested too deeply"}) from None


def _with_upload(session: Session, document: Document) -> Document:
    """The document with what is known of the upload that its dataset names.

    Raises:
        InvalidRequest: there is no such upload, or the document says something else of it.
    """
    dataset: Any = document.get("dataset")
    if not isinstance(dataset, dict):
        return document
    given = cast("dict[str, Any]", dataset)
    if given.get("name") not in UPLOADED or not isinstance(given.get("upload"), str):
        return document
    try:
        upload = uploads.get_locked(session, given["upload"], shared=True)
    except UploadNotFound as error:
        raise InvalidRequest(
            {"dataset.upload": f"{error}; `ganclinic uploads`, or GET /v1/uploads, lists them"}
        ) from None
    known: dict[str, Any] = {"shape": upload.shape, "class_counts": upload.class_counts}
    if given["name"] == "upload-pairs":
        if upload.kind != "pairs":
            raise InvalidRequest({"dataset.upload": f"'{upload.id}' holds no pairs; upload it again, with pairs=true"})
        known["folders"] = upload.class_names
    wrong = [field for field in known if given.get(field) not in (None, known[field])]
    if wrong:
        raise InvalidRequest({f"dataset.{f}": f"the upload has {known[f]!s:.200}; leave it out" for f in wrong})
    return {**document, "dataset": given | known}


def resolve_all(
    requests: Sequence[RunRequest], session: Session, *, most_problems: int = MAX_FIELD_PROBLEMS
) -> list[tuple[RunRequest, RunSpec]]:
    """Each request with its spec, as `resolve` gives it.

    Raises:
        InvalidRequest: one gives none; its fields are named as `runs[3].training.epochs`.
    """
    resolved: list[tuple[RunRequest, RunSpec]] = []
    problems: dict[str, str] = {}
    for index, request in enumerate(requests):
        try:
            resolved.append((request, resolve(request, session)))
        except InvalidRequest as error:
            problems |= {f"runs[{index}].{field}": message for field, message in error.problems.items()}
            if len(problems) >= most_problems:
                break
    if problems:
        raise InvalidRequest(dict(islice(problems.items(), most_problems)))
    return resolved
