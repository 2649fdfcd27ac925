"""Deletes the files of what was deleted, after the commit and beside the answer: rows never lack files.

Which files other rows name is looked up first. The store of files may take seconds for each, and no transaction is open
meanwhile: one that reads keeps PostgreSQL from clearing up, and a connection from others.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from api.deps import Services
from store import uploads
from store.core.db import reading
from store.core.errors import StoreError
from store.files.backends import checkpoint_files
from store.runs import deletion

logger = logging.getLogger(__name__)


def delete_files_of_run(services: Services, run_id: str, sha256s: frozenset[str]) -> None:
    """Deletes those of a run or a comparison; what the store does not delete now is left to retention."""
    grace = services.settings.retention_grace
    with _deleting(services, run_id):
        with reading(services.engine) as session:
            unnamed = deletion.artifacts_of_nobody(session, sha256s)
        checkpoints = checkpoint_files(services.settings)
        deletion.delete_files_of(run_id, unnamed, artifacts=services.artifacts, checkpoints=checkpoints, grace=grace)


def delete_files_of_upload(services: Services, upload_id: str, sha256s: frozenset[str]) -> None:
    """Deletes those of an upload that no other names; what the store does not delete now is left to retention."""
    with _deleting(services, upload_id):
        with reading(services.engine) as session:
            unnamed = uploads.files_of_nobody(session, sha256s)
        uploads.delete_files(unnamed, artifacts=services.uploaded, grace=services.settings.retention_grace)


@contextmanager
def _deleting(services: Services, what: str) -> Iterator[None]:
    """Whatever is deleted in the block, and whatever is not, is measured anew."""
    try:
        yield
    except (StoreError, OSError) as error:
        logger.warning("files of %s, which is deleted, stay until they are collected: %s", what, error)
    finally:
        services.storage.forget()
