"""Labels over HTTP: what people say of verdicts."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ganlib.findings import LABELLED
from ganlib.spec.run import RunSpec
from store.core.db import transaction
from tests.support.api import Recorded, Service, record, record_comparison
from tests.support.store import create_run

ABSENT: dict[str, Any] = {"finding": "mode collapse", "holds": False, "author": "ada"}


@pytest.fixture
def recorded(service: Service) -> Recorded:
    """A run with three epochs, the last two of which have the verdict mode collapse."""
    return record(service)


def label(service: Service, path: str, key: str | None = None, **changes: Any) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = service.client.post(f"{path}/labels", json={**ABSENT, **changes}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_label_is_kept_beside_the_verdict_that_it_is_about(service: Service, recorded: Recorded) -> None:
    made = label(service, recorded.path, note="ten digits")
    assert datetime.now(UTC) - datetime.fromisoformat(made.pop("created_at")) < timedelta(minutes=1)
    label_id = made.pop("id")
    assert made == {
        **ABSENT,
        "run_id": recorded.id,
        "epoch": None,
        "note": "ten digits",
        "ruleset": "test-1",
        "verdict": "mode collapse",
    }
    items = service.client.get(f"{recorded.path}/labels").json()["items"]
    assert [item["id"] for item in items] == [label_id]
    assert service.client.get(recorded.path).json()["links"]["labels"] == f"{recorded.path}/labels"


def test_a_label_of_an_epoch_is_beside_that_epochs_verdict(service: Service, recorded: Recorded) -> None:
    assert [label(service, recorded.path, epoch=epoch)["verdict"] for epoch in (1, 2)] == ["healthy", "mode collapse"]


@pytest.mark.parametrize("finding", LABELLED)
def test_every_finding_can_be_labelled_and_health_too(sqlite_service: Service, finding: str) -> None:
    path = record(sqlite_service, 1).path
    assert label(sqlite_service, path, finding=finding, holds=True)["finding"] == finding


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"finding": "boredom"}, "finding", "'healthy', 'divergence'"),
        ({"finding": None}, "finding", "'mode collapse'"),
        ({"holds": None}, "holds", "boolean"),
        ({"epoch": 0}, "epoch", "greater than or equal to 1, not 0"),
        ({"epoch": 4}, "epoch", "has recorded no epoch 4; allowed: 1 to 3, or null"),
        ({"author": ""}, "author", "at least 1"),
        ({"author": "a\x1b[31mda"}, "author", "match"),
        ({"note": "a\x1b[2J"}, "note", "match"),
        ({"note": "x" * 2001}, "note", "at most 2000"),
        ({"noted": "x"}, "noted", "is not a field"),
    ],
)
def test_a_label_that_means_nothing_is_refused_with_its_field(
    sqlite_service: Service, changes: dict[str, Any], field: str, words: str
) -> None:
    path = record(sqlite_service).path
    answer = sqlite_service.client.post(f"{path}/labels", json={**ABSENT, **changes})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert words in answer.json()["errors"][0]["message"]
    assert sqlite_service.client.get(f"{path}/labels").json() == {"items": []}


def test_what_has_no_verdict_cannot_be_labelled(sqlite_service: Service) -> None:
    comparison = record_comparison(sqlite_service)
    with transaction(sqlite_service.engine) as session:
        empty = create_run(session).id
    answer = sqlite_service.client.post(f"/v1/runs/{empty}/labels", json=ABSENT)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:ganclinic:problem:not-recorded")
    for other in ("nope", comparison):
        assert sqlite_service.client.post(f"/v1/runs/{other}/labels", json=ABSENT).status_code == 404
    assert sqlite_service.client.get("/v1/runs/nope/labels").status_code == 404


def test_a_label_sent_twice_with_a_key_is_kept_once(service: Service, recorded: Recorded) -> None:
    first, second = (label(service, recorded.path, key="once") for _ in range(2))
    assert first == second
    body = {**ABSENT, "holds": True}
    answer = service.client.post(f"{recorded.path}/labels", json=body, headers={"Idempotency-Key": "once"})
    assert answer.status_code == 409
    assert len(service.client.get(f"{recorded.path}/labels").json()["items"]) == 1


def test_labels_of_all_runs_are_listed_in_pages(service: Service, recorded: Recorded) -> None:
    other = record(service, 1)
    made = [label(service, run.path, note=str(n))["id"] for n, run in enumerate([recorded, other, recorded])]
    seen: list[str] = []
    cursor: str | None = None
    while cursor is not None or not seen:
        query = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = service.client.get("/v1/labels", params=query).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(made)
    assert len(seen) == 3


@pytest.mark.parametrize("holds", [0, 1, "yes", None])
def test_only_true_and_false_say_whether_it_holds(sqlite_service: Service, holds: Any) -> None:
    run = record(sqlite_service, 1)
    answer = sqlite_service.client.post(f"{run.path}/labels", json={**ABSENT, "holds": holds})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "holds")


@pytest.mark.parametrize("query", [{"cursor": "x"}, {"limit": 0}, {"finding": "x"}])
def test_a_bad_list_query_is_refused(sqlite_service: Service, query: dict[str, Any]) -> None:
    answer = sqlite_service.client.get("/v1/labels", params=query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(query)))


def test_the_export_has_all_that_makes_the_runs_again(service: Service, recorded: Recorded) -> None:
    note = "two lines\nof \N{PILE OF POO} and \u2028"
    made = label(service, recorded.path, epoch=2, note=note)
    label(service, record(service, 1).path, finding="healthy", holds=True)
    answer = service.client.get("/v1/labels/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    first, second = (json.loads(line) for line in answer.content.decode().strip("\n").split("\n"))
    run = service.client.get(recorded.path).json()
    assert first == {**made, "spec": run["spec"], "spec_hash": run["spec_hash"], "seed": 0, "warm_start": None}
    assert (second["finding"], second["holds"], second["verdict"]) == ("healthy", True, "healthy")
    assert RunSpec.model_validate(second["spec"])


def test_an_export_of_nothing_is_empty(sqlite_service: Service) -> None:
    answer = sqlite_service.client.get("/v1/labels/export")
    assert (answer.status_code, answer.content) == (200, b"")
