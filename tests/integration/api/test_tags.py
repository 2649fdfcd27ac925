"""Tags of runs over HTTP: given, changed, and found by."""

from typing import Any

import pytest
from sqlalchemy import select

from ganclinic.client import Client
from ganlib.spec.request import RunRequest
from store.core.db import reading, transaction
from store.core.models import RunTagRow
from store.runs import lifecycle
from store.runs.deletion import delete_run
from tests.support.api import TOKEN, Service
from tests.support.serving import served
from tests.support.store import SPEC


def make(service: Service, *tags: str) -> str:
    answer = service.client.post("/v1/runs", json={"spec": SPEC, "tags": tags})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def found(service: Service, *tags: str) -> list[str]:
    items = service.client.get("/v1/runs", params={"tag": tags}).json()["items"]
    return [run["id"] for run in items]


def test_runs_are_found_by_all_of_the_tags(service: Service) -> None:
    first, second, other = make(service, "paper", "b"), make(service, "paper", "a/1", "a/1"), make(service)
    assert service.client.get(f"/v1/runs/{second}").json()["tags"] == ["a/1", "paper"]
    assert found(service, "paper") == [second, first]
    assert found(service, "paper", "b") == [first]
    assert found(service, "b", "a/1") == []
    assert found(service, "PAPER") == []
    assert set(found(service)) == {first, second, other}


def test_pages_of_tagged_runs_follow_each_other(service: Service) -> None:
    ids = [make(service, "paper") for _ in range(3)]
    make(service)
    first = service.client.get("/v1/runs", params={"tag": "paper", "limit": 2}).json()
    rest = service.client.get("/v1/runs", params={"tag": "paper", "cursor": first["next_cursor"]}).json()
    assert [run["id"] for run in first["items"] + rest["items"]] == ids[::-1]


def test_tags_are_changed_as_a_whole(service: Service) -> None:
    run_id = make(service, "a", "b")
    answer = service.client.put(f"/v1/runs/{run_id}/tags", json={"tags": ["c", "b"]})
    assert (answer.status_code, answer.json()["tags"]) == (200, ["b", "c"])
    assert [found(service, tag) for tag in "abc"] == [[], [run_id], [run_id]]
    assert service.client.put(f"/v1/runs/{run_id}/tags", json={"tags": []}).json()["tags"] == []
    assert found(service, "b") == []
    assert service.client.put(f"/v1/runs/{'f' * 16}/tags", json={"tags": []}).status_code == 404


def test_a_sweep_gives_its_tags_to_each_run_and_they_go_with_it(service: Service) -> None:
    body = {"sweep": {"base": {"spec": SPEC, "tags": ["swept"]}, "seeds": 3}}
    ids = [run["id"] for run in service.client.post("/v1/batches", json=body).json()["runs"]]
    assert sorted(found(service, "swept")) == ids
    with transaction(service.engine) as session:
        lifecycle.cancel(session, ids[0])
        delete_run(session, ids[0])
    with reading(service.engine) as session:
        assert sorted(session.scalars(select(RunTagRow.run_id))) == ids[1:]


def test_the_same_request_with_the_same_key_keeps_the_tags_that_it_has(service: Service) -> None:
    headers = {"Idempotency-Key": "again"}
    body = {"spec": SPEC, "tags": ["a"]}
    first = service.client.post("/v1/runs", json=body, headers=headers).json()
    service.client.put(f"/v1/runs/{first['id']}/tags", json={"tags": ["b"]})
    assert service.client.post("/v1/runs", json=body, headers=headers).json()["tags"] == ["b"]
    assert service.client.post("/v1/runs", json={**body, "tags": []}, headers=headers).status_code == 409


def test_a_request_without_tags_has_the_hash_that_it_had_before_there_were_any() -> None:
    request = RunRequest(preset="ring8-stable")
    assert lifecycle.hash_request(request) == "2864e73df7027598169ab146a88b1a5b74f98bb7ebfb4092cb6b07e719b4a7fd"
    assert lifecycle.hash_request(request.model_copy(update={"tags": ("a",)})) != lifecycle.hash_request(request)


@pytest.mark.parametrize("tags", [["a b"], [""], ["-a"], ["a" * 65], ["<b>"], [1], "a", [str(n) for n in range(21)]])
def test_what_is_no_tag_is_refused_by_field(sqlite_service: Service, tags: Any) -> None:
    answer = sqlite_service.client.post("/v1/runs", json={"spec": SPEC, "tags": tags})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("tags")


def test_what_can_be_no_tag_is_not_looked_for(sqlite_service: Service) -> None:
    assert sqlite_service.client.get("/v1/runs", params={"tag": "a b"}).status_code == 422


def test_the_client_tags(sqlite_service: Service) -> None:
    with served(sqlite_service) as url, Client(url, TOKEN) as client:
        run = client.create_run(RunRequest(preset="ring8-stable", tags=("a",)))
        assert client.tag(run.id, ["b", "c"]).tags == ("b", "c")
        assert [each.id for each in client.list_runs(tags=["b", "c"])] == [run.id]
        assert list(client.list_runs(tags=["a"])) == []
