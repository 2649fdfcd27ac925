"""Deletes the files of what was deleted, after the commit and beside the answer: rows never lack files."""

import logging
from collections.abc import Callable
from functools import partial

from sqlalchemy.orm import Session

from api.deps import Services
from store import uploads
from store.core.db import reading
from store.core.errors import DatabaseUnavailable, StoreUnavailable
from store.files.backends import checkpoint_files
from store.runs import deletion

logger = logging.getLogger(__name__)


def delete_files_of_run(services: Services, run_id: str, sha256s: frozenset[str]) -> None:
    """Those of a run or a comparison; what the store does not delete now is left to retention."""
    checkpoints, grace = checkpoint_files(services.settings), services.settings.retention_grace
    delete = partial(
        deletion.delete_files_of,
        run_id=run_id,
        sha256s=sha256s,
        artifacts=services.artifacts,
        checkpoints=checkpoints,
        grace=grace,
    )
    _delete(services, run_id, delete)


def delete_files_of_upload(services: Services, upload_id: str, sha256s: frozenset[str]) -> None:
    """Likewise of an upload."""
    grace = services.settings.retention_grace
    _delete(
        services, upload_id, partial(uploads.delete_files, sha256s=sha256s, artifacts=services.uploaded, grace=grace)
    )


def _delete(services: Services, what: str, delete: Callable[[Session], None]) -> None:
    try:
        with reading(services.engine) as session:
            delete(session)
    except (DatabaseUnavailable, StoreUnavailable) as error:
        logger.warning("files of %s, which is deleted, stay until they are collected: %s", what, error)
    services.storage.forget()
