"""What stored files take, and the quota that they have."""

import resource
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from store.core.db import transaction
from store.files.backends import checkpoint_files
from tests.support.api import PICTURE, STRIP, Service, make_service, record
from tests.support.store import SPEC
from tests.support.uploads import create_upload

PICTURES = len(PICTURE % 1)


def save_checkpoint(service: Service, run_id: str, size: int) -> None:
    path = checkpoint_files(service.settings).local_path(f"{run_id}/attempt-1-epoch-1.safetensors")
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(size))


def test_the_storage_of_each_run_and_of_all_is_told(service: Service) -> None:
    first, second = record(service, 1).id, record(service, 2).id
    save_checkpoint(service, second, 1000)
    save_checkpoint(service, "0" * 16, 5)  # of no run
    with transaction(service.engine) as session:
        upload = create_upload(session, service.app.state.services.uploaded)
    told = service.client.get("/v1/storage").json()
    assert told["artifacts"] == 2 * PICTURES + len(STRIP)  # both runs have the same
    assert (told["uploads"], told["checkpoints"], told["quota"]) == (upload.size, 1005, None)
    assert told["total"] == told["artifacts"] + told["uploads"] + told["checkpoints"]
    assert [(run["run_id"], run["artifacts"], run["checkpoints"]) for run in told["runs"]] == [
        (second, 2 * PICTURES + len(STRIP), 1000),
        (first, PICTURES + len(STRIP), 0),
    ]
    assert [run["run_id"] for run in service.client.get("/v1/storage?limit=1").json()["runs"]] == [second]


def test_what_all_and_each_user_store_is_measured_once_in_a_while(sqlite_engine: Engine, tmp_path: Path) -> None:
    service = make_service(sqlite_engine, tmp_path)
    run_id = record(service, 1).id
    before = service.client.get("/v1/storage").json()
    save_checkpoint(service, run_id, 1000)
    told = service.client.get("/v1/storage").json()
    assert (told["total"], told["users"]) == (before["total"], before["users"])
    told = make_service(sqlite_engine, tmp_path).client.get("/v1/storage").json()  # has measured nothing yet
    assert told["total"] == before["total"] + 1000
    assert [user["checkpoints"] for user in told["users"]] == [1000]


def test_a_service_without_files_takes_nothing(sqlite_service: Service) -> None:
    told = sqlite_service.client.get("/v1/storage").json()
    assert (told["total"], told["runs"]) == (0, [])


@pytest.fixture
def requests() -> list[tuple[str, dict[str, Any]]]:
    """Every request that would store more."""
    files = {"real": ("r.npy", b""), "fake": ("f.npy", b"")}
    return [
        ("/v1/runs", {"json": {"spec": SPEC}}),
        ("/v1/batches", {"json": {"runs": [{"spec": SPEC}]}}),
        ("/v1/uploads", {"files": {"file": ("a.npy", b"")}}),
        ("/v1/evaluations", {"files": files}),
        (f"/v1/runs/{'0' * 16}/extend", {"json": {"epochs": 1}}),
        (f"/v1/runs/{'0' * 16}/treatments", {}),
    ]


def test_beyond_the_quota_nothing_more_is_taken(
    sqlite_engine: Engine, tmp_path: Path, requests: list[tuple[str, dict[str, Any]]]
) -> None:
    service = make_service(sqlite_engine, tmp_path, storage_quota_bytes=1000)
    run_id = record(service, 1).id
    assert service.client.post("/v1/runs", json={"spec": SPEC}).status_code == 202
    save_checkpoint(service, run_id, 1000)
    service = make_service(sqlite_engine, tmp_path, storage_quota_bytes=1000)
    for path, request in requests:
        answer = service.client.post(path, **request)
        assert (path, answer.status_code) == (path, 507)
        assert answer.json()["type"] == "urn:ganclinic:problem:storage-full"
        assert (
            "the service allows 1,000; delete runs, evaluations or uploads that nobody needs" in answer.json()["detail"]
        )
    assert service.client.get("/v1/storage").json()["quota"] == 1000
    assert service.count_runs() == 2


@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/evaluations"])
def test_a_full_disk_is_told_with_its_directory(sqlite_service: Service, path: str) -> None:
    fields = ["file"] if path == "/v1/uploads" else ["real", "fake"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sqlite_service.client.get("/v1/health")  # SQLite has written what it writes first
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        answer = sqlite_service.client.post(path, files={field: ("a.npy", bytes(300_000)) for field in fields})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert answer.status_code == 507
    assert answer.json()["type"] == "urn:ganclinic:problem:disk-full"
    assert str(sqlite_service.settings.uploads) in answer.json()["detail"]
    assert "free some, and try again" in answer.json()["detail"]
