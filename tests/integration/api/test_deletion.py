"""Deleting runs over HTTP."""

import os
from typing import Any

import pytest

from store import annotations
from store.core.db import reading, transaction
from store.files.backends import checkpoint_files
from store.files.local import LocalFiles
from store.runs import endings, records
from tests.support.api import PICTURE, Service, record
from tests.support.store import create_run
from tests.support.uploads import create_upload


def finished(service: Service) -> str:
    """The id of a run that has succeeded, with pictures and a checkpoint."""
    recorded = record(service, 1)
    path = checkpoint_files(service.settings).local_path(f"{recorded.id}/attempt-1-epoch-1.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    for picture in service.settings.artifacts.rglob("*/*"):
        os.utime(picture, (1.0, 1.0))
    with transaction(service.engine) as session:
        endings.finish(session, recorded.id, recorded.claim.token, "succeeded")
    return recorded.id


def test_a_deleted_run_is_gone_with_its_files(service: Service) -> None:
    run_id = finished(service)
    answer = service.client.delete(f"/v1/runs/{run_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert service.client.get(f"/v1/runs/{run_id}").status_code == 404
    assert service.client.delete(f"/v1/runs/{run_id}").status_code == 404
    assert service.client.get("/v1/runs").json()["items"] == []
    assert list(checkpoint_files(service.settings).entries()) == []
    assert list(service.settings.artifacts.rglob("*/*")) == []


def test_a_picture_that_another_run_has_too_stays(service: Service) -> None:
    deleted, other = finished(service), finished(service)  # with the same pictures
    assert service.client.delete(f"/v1/runs/{deleted}").status_code == 204
    assert service.client.get(f"/v1/runs/{other}/samples/1").content == PICTURE % 1
    with reading(service.engine) as session:
        assert len(records.artifacts(session, other, "samples")) == 1
    assert len(list(checkpoint_files(service.settings).entries())) == 1


def test_a_run_that_is_not_over_stays(service: Service) -> None:
    with transaction(service.engine) as session:
        run_id = create_run(session).id
    answer = service.client.delete(f"/v1/runs/{run_id}")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:ganclinic:problem:run-in-use"
    assert "it is queued; cancel it first" in answer.json()["detail"]


def test_labels_have_to_be_given_up_by_name(service: Service) -> None:
    run_id = finished(service)
    label = {"finding": "healthy", "holds": True, "author": "ann"}
    assert service.client.post(f"/v1/runs/{run_id}/labels", json=label).is_success
    answer = service.client.delete(f"/v1/runs/{run_id}")
    assert (answer.status_code, "with_labels=true" in answer.json()["detail"]) == (409, True)
    assert service.client.delete(f"/v1/runs/{run_id}?with_labels=true").status_code == 204
    with reading(service.engine) as session:
        assert annotations.list_labels(session).items == []


def test_files_that_the_store_cannot_delete_now_do_not_bring_the_run_back(service: Service) -> None:
    run_id = finished(service)
    away: dict[str, Any] = {"store_url": "s3://clinic", "s3_endpoint": "http://127.0.0.1:9"}
    away |= {"s3_access_key": "a", "s3_secret_key": "b"}
    settings = type(service.settings)(home=service.settings.home, **away)
    object.__setattr__(service.app.state.services, "settings", settings)
    assert service.client.delete(f"/v1/runs/{run_id}").status_code == 204
    assert service.client.get(f"/v1/runs/{run_id}").status_code == 404


def requests(service: Service) -> list[str]:
    """One that deletes a run, and one that deletes an upload."""
    with transaction(service.engine) as session:
        upload = create_upload(session, service.app.state.services.uploaded)
    for area in (service.settings.artifacts, service.settings.uploaded):
        for path in area.rglob("*/*"):
            os.utime(path, (1.0, 1.0))
    return [f"/v1/runs/{finished(service)}", f"/v1/uploads/{upload.id}"]


def test_no_transaction_is_open_while_the_store_deletes(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, connections, paths = sqlite_service.engine.pool, list[int](), requests(sqlite_service)
    for method in ("discard", "delete", "entries"):
        really = getattr(LocalFiles, method)

        def slowly(*args: Any, really: Any = really) -> Any:
            connections.append(pool.checkedout())  # type: ignore[attr-defined]
            return really(*args)

        monkeypatch.setattr(LocalFiles, method, slowly)
    assert [sqlite_service.client.delete(path).status_code for path in paths] == [204, 204]
    assert len(connections) > 5
    assert set(connections) == {0}


def test_files_that_the_system_does_not_delete_are_left_to_retention(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forgotten: list[int] = []
    monkeypatch.setattr(sqlite_service.app.state.services.storage, "forget", lambda: forgotten.append(1))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    paths = requests(sqlite_service)
    monkeypatch.setattr(LocalFiles, "discard", refuse)
    assert [sqlite_service.client.delete(path).status_code for path in paths] == [204, 204]
    assert caplog.text.count("which is deleted, stay until they are collected: [Errno 13]") == 2
    assert len(forgotten) == 2
    assert [sqlite_service.client.get(path).status_code for path in paths] == [404, 404]


def test_whatever_is_wrong_with_a_deletion_storage_is_measured_anew(
    sqlite_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[int] = []
    monkeypatch.setattr(sqlite_service.app.state.services.storage, "forget", lambda: forgotten.append(1))

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    paths = requests(sqlite_service)
    monkeypatch.setattr(LocalFiles, "discard", fail)
    assert [sqlite_service.client.delete(path).status_code for path in paths] == [204, 204]  # answered before
    assert len(forgotten) == 2
