"""Uploads in the store: the same set once, who keeps one from being deleted, and which files go with it."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from store import uploads
from store.core.db import reading, transaction
from store.core.errors import UploadInUse, UploadNotFound
from store.core.models import Run
from store.files.artifacts import LocalArtifacts
from store.runs import endings, lifecycle
from tests.support.comparison import create_comparison
from tests.support.store import claim_run, create_run, request
from tests.support.uploads import create_upload, dataset_of, uploaded_set

NOTHING = "0" * 16


@pytest.fixture
def artifacts(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path / "uploaded")


def files(artifacts: LocalArtifacts, tmp_path: Path) -> set[str]:
    """Hashes of the stored files."""
    return {f"{path.parent.name}{path.name}" for path in (tmp_path / "uploaded").rglob("*") if path.is_file()}


def create_run_on(session: Session, upload_id: str) -> Run:
    upload = uploads.get_locked(session, upload_id, shared=True)
    wanted = request(dataset=dataset_of(upload))
    return lifecycle.create(session, wanted, wanted.resolve())


def test_an_upload_is_found_and_listed(engine: Engine, artifacts: LocalArtifacts) -> None:
    with transaction(engine) as session:
        made = [create_upload(session, artifacts, seed).id for seed in range(2)]
    with reading(engine) as session:
        found = uploads.get(session, made[0])
        assert {upload.id for upload in uploads.list_uploads(session)} == set(made)
        with pytest.raises(UploadNotFound, match="there is no upload '0000"):
            uploads.get(session, NOTHING)
    assert (found.name, found.kind, found.count, found.shape) == ("pets", "images", 60, [3, 8, 8])
    assert (found.class_names, found.class_counts) == (["cats", "dogs"], [20, 40])
    assert found.size > 60 * 3 * 8 * 8
    assert found.created_at > 1e9


def test_the_same_set_is_stored_once_and_keeps_its_first_name(engine: Engine, artifacts: LocalArtifacts) -> None:
    with transaction(engine) as session:
        first = create_upload(session, artifacts).id
    with transaction(engine) as session:
        again = uploads.create(session, uploaded_set(artifacts), name="other")
        assert (again.id, again.name) == (first, "pets")
        other = uploads.create(session, uploaded_set(artifacts, class_names=("a", "b")))
        assert other.id != first


NO_GRACE = timedelta(seconds=-1)


def delete(engine: Engine, upload_id: str, artifacts: LocalArtifacts, grace: timedelta = NO_GRACE) -> None:
    """As the API does it."""
    with transaction(engine) as session:
        sha256s = uploads.delete(session, upload_id)
    with reading(engine) as session:
        sha256s = uploads.files_of_nobody(session, sha256s)
    uploads.delete_files(sha256s, artifacts=artifacts, grace=grace)


def test_an_upload_whose_deletion_is_rolled_back_keeps_its_files(
    engine: Engine, artifacts: LocalArtifacts, tmp_path: Path
) -> None:
    with transaction(engine) as session:
        upload_id = create_upload(session, artifacts).id
    with transaction(engine) as session:
        sha256s = uploads.delete(session, upload_id)
        session.rollback()  # as where the commit fails
    with reading(engine) as session:
        uploads.delete_files(uploads.files_of_nobody(session, sha256s), artifacts=artifacts, grace=NO_GRACE)
        assert files(artifacts, tmp_path) == sha256s
        assert uploads.get(session, upload_id).id == upload_id


def test_files_that_were_put_a_moment_ago_are_left_to_retention(
    engine: Engine, artifacts: LocalArtifacts, tmp_path: Path
) -> None:
    """Somebody may store the same set just now: its row comes after its files."""
    with transaction(engine) as session:
        upload_id = create_upload(session, artifacts).id
    delete(engine, upload_id, artifacts, timedelta(minutes=1))
    assert len(files(artifacts, tmp_path)) == 2


def test_a_deleted_upload_is_gone_with_its_files(engine: Engine, artifacts: LocalArtifacts, tmp_path: Path) -> None:
    with transaction(engine) as session:
        upload_id = create_upload(session, artifacts).id
    assert len(files(artifacts, tmp_path)) == 2
    delete(engine, upload_id, artifacts)
    assert files(artifacts, tmp_path) == set()
    with transaction(engine) as session:
        for action in (uploads.get, uploads.delete):
            with pytest.raises(UploadNotFound):
                action(session, upload_id)


def test_a_file_that_another_upload_has_too_stays(engine: Engine, artifacts: LocalArtifacts, tmp_path: Path) -> None:
    with transaction(engine) as session:
        one, other = (create_upload(session, artifacts, seed) for seed in range(2))  # with the same labels
        sha256s = uploads.files_of_nobody(session, uploads.delete(session, one.id))
        uploads.delete_files(sha256s, artifacts=artifacts, grace=NO_GRACE)
        assert files(artifacts, tmp_path) == {other.samples_sha256, other.labels_sha256}


def test_an_upload_stays_while_a_run_on_it_is_not_over(engine: Engine, artifacts: LocalArtifacts) -> None:
    with transaction(engine) as session:
        create_run(session)
        create_comparison(session)
        upload_id = create_upload(session, artifacts).id
        run_id = create_run_on(session, upload_id).id
        with pytest.raises(UploadInUse, match=f"the run '{run_id}' trains on the upload"):
            uploads.delete(session, upload_id)
        while (claimed := claim_run(session)).run_id != run_id:
            pass
        with pytest.raises(UploadInUse):
            uploads.delete(session, upload_id)
        endings.finish(session, run_id, claimed.token, "failed", error="no luck", error_kind="Luck")
        uploads.delete(session, upload_id)


def test_an_upload_is_not_deleted_while_a_run_on_it_is_made(engine: Engine, artifacts: LocalArtifacts) -> None:
    with transaction(engine) as session:
        upload_id = create_upload(session, artifacts).id
    outcome: list[str] = []

    def delete() -> None:
        try:
            with transaction(engine) as session:
                uploads.delete(session, upload_id)
            outcome.append("deleted")
        except UploadInUse:
            outcome.append("in use")

    deleter = threading.Thread(target=delete)
    with transaction(engine) as session:
        create_run_on(session, upload_id)
        deleter.start()
        deleter.join(timeout=0.3)
        assert outcome == []  # it waits
    deleter.join()
    assert outcome == ["in use"]
