"""Uploaded sets of samples that runs train on: create, look up, list, delete.

An upload's files lie in a root of their own, so that nothing else names them. They go once their row is gone for good:
a deletion that is rolled back, or whose commit fails, has deleted none. Whoever makes a run keeps the upload's row
locked until the run is stored: no upload is deleted in between.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ganlib.wire.statuses import FINAL_STATUSES
from ganlib.wire.uploads import UploadKind
from store.core.db import clock
from store.core.errors import UploadInUse, UploadNotFound
from store.core.models import Run, Upload
from store.files.artifacts import Artifacts, StoredArtifact
from store.files.references import uploads_in_use
from store.scheduling.owners import NOBODY_ELSE, Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedSet:
    """A set of samples whose files are stored."""

    kind: UploadKind
    shape: tuple[int, ...]
    """Of one sample."""
    class_counts: tuple[int, ...]
    """One number where there are no classes."""
    class_names: tuple[str, ...]
    samples: StoredArtifact
    labels: StoredArtifact | None

    @property
    def id(self) -> str:
        """16 hex digits that follow from samples, labels and names of classes, and whether they are pairs."""
        labels = None if self.labels is None else self.labels.sha256
        kind = ["pairs"] if self.kind == "pairs" else []  # an id of its own: the same images may come without pairs
        parts = json.dumps([self.samples.sha256, labels, self.class_names, *kind])
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def create(session: Session, uploaded: UploadedSet, *, name: str | None = None, owner: Owner = NOBODY_ELSE) -> Upload:
    """The new upload, or the one of the same content, which keeps its name and its owner."""
    upload = Upload(
        id=uploaded.id,
        name=name,
        kind=uploaded.kind,
        count=sum(uploaded.class_counts),
        shape=list(uploaded.shape),
        class_names=list(uploaded.class_names),
        class_counts=list(uploaded.class_counts),
        size=uploaded.samples.size + (0 if uploaded.labels is None else uploaded.labels.size),
        samples_sha256=uploaded.samples.sha256,
        labels_sha256=None if uploaded.labels is None else uploaded.labels.sha256,
        user=owner.user,
        team=owner.team,
        created_at=clock(session),
    )
    try:
        with session.begin_nested():
            session.add(upload)
    except IntegrityError:  # it is there, perhaps since a moment ago
        return get_locked(session, upload.id, shared=True)
    return upload


def get(session: Session, upload_id: str) -> Upload:
    """The upload of that id.

    Raises:
        UploadNotFound: there is none.
    """
    upload = session.get(Upload, upload_id, populate_existing=True)
    if upload is None:
        raise UploadNotFound(upload_id)
    return upload


def get_locked(session: Session, upload_id: str, *, shared: bool) -> Upload:
    """The upload of that id, which nobody else deletes before the transaction's end; others may share the lock.

    Raises:
        UploadNotFound: there is none.
    """
    query = select(Upload).where(Upload.id == upload_id).with_for_update(read=shared)
    upload = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if upload is None:
        raise UploadNotFound(upload_id)
    return upload


def list_uploads(session: Session) -> list[Upload]:
    """Every upload, newest first."""
    return list(session.scalars(select(Upload).order_by(Upload.created_at.desc(), Upload.id.desc())))


def delete(session: Session, upload_id: str) -> frozenset[str]:
    """Forgets the upload; the hashes of its files, which `delete_files` deletes once that is committed.

    Raises:
        UploadNotFound: there is none.
        UploadInUse: a run that is not over trains on it.
    """
    upload = get_locked(session, upload_id, shared=False)
    goes_on = Run.status.not_in(FINAL_STATUSES)
    users = select(Run.id).where(goes_on, Run.spec["dataset"]["upload"].as_string() == upload_id)
    user = session.scalars(users.limit(1)).one_or_none()
    if user is not None:
        raise UploadInUse(upload_id, user)
    session.delete(upload)
    session.flush()
    return frozenset(sha256 for sha256 in (upload.samples_sha256, upload.labels_sha256) if sha256 is not None)


def files_of_nobody(session: Session, sha256s: frozenset[str]) -> frozenset[str]:
    """Those among the hashes of a deleted upload's files that no other upload has."""
    return sha256s - uploads_in_use(session)


def delete_files(sha256s: frozenset[str], *, artifacts: Artifacts, grace: timedelta) -> None:
    """Deletes these files of a deleted upload, which are nobody's: see `files_of_nobody`.

    One that was put within `grace` may be somebody's whose row is not there yet, or was not when that was looked up: it
    is left to `store.retention`.

    Raises:
        StoreUnavailable: the store does not answer; `store.retention` will delete what is left.
    """
    before = time.time() - grace.total_seconds()
    for sha256 in sha256s:
        artifacts.discard(sha256, before)
