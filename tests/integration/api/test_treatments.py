"""Treatments and families over HTTP."""

from typing import Any

import pytest
from httpx2 import Response

from ganlib.diagnosis.prescribe import prescribe
from store.core.db import transaction
from store.core.models import DiagnosisRow
from store.runs import lifecycle
from tests.support.api import Service
from tests.support.store import claim_run, create_run, request
from tests.support.treatment import EPOCHS, end, make_run

USUAL = prescribe("mode collapse", request().resolve())[0]
"""The first remedy of the runs that are treated here."""


def sick(service: Service, *names: Any) -> str:
    with transaction(service.engine) as session:
        return make_run(session, *(names or ("mode collapse",)))


def treat(service: Service, run_id: str, body: Any = None, key: str | None = None) -> Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return service.client.post(f"/v1/runs/{run_id}/treatments", json=body, headers=headers)


def finish_try(service: Service, treatment: dict[str, Any], *names: Any) -> dict[str, Any]:
    """The treatment after its last try has ended with these findings."""
    with transaction(service.engine) as session:
        end(session, treatment["tries"][-1]["id"], *names)
    return service.client.get(treatment["links"]["self"]).json()


def test_a_treatment_is_queued_and_has_an_address(service: Service) -> None:
    run_id = sick(service)
    answer = treat(service, run_id, {"max_tries": 2})
    assert answer.status_code == 202
    treatment = answer.json()
    assert answer.headers["location"] == f"/v1/treatments/{treatment['id']}" == treatment["links"]["self"]
    wanted = {"run_id": run_id, "finding": "mode collapse", "status": "running", "reason": None, "best_run_id": None}
    assert treatment.items() >= {**wanted, "max_tries": 2, "max_epochs": 3 * EPOCHS}.items()
    (child,) = treatment["tries"]
    assert child.items() >= {"parent_id": run_id, "treatment_id": treatment["id"], "status": "queued"}.items()
    assert (child["remedy"], child["patch"]) == ("usual settings", USUAL.patch)
    assert service.client.get(answer.headers["location"]).json() == treatment
    assert service.client.get(f"/v1/runs/{run_id}/treatments").json() == {"items": [treatment]}
    spec = service.client.get(child["links"]["self"]).json()["spec"]
    assert (spec["generator"]["latent_dim"], spec["optimizer"]["learning_rate"]) == (2, 1e-3)


def test_the_bell_rings_once_the_first_try_is_stored(service: Service) -> None:
    run_id = sick(service)
    treat(service, run_id)
    assert service.rung == [2]


def test_without_a_body_everything_is_as_usual(sqlite_service: Service) -> None:
    run_id = sick(sqlite_service)
    answer = sqlite_service.client.post(f"/v1/runs/{run_id}/treatments")
    assert (answer.status_code, answer.json()["max_tries"], answer.json()["max_epochs"]) == (202, 3, 4 * EPOCHS)


def test_a_treatment_goes_on_until_it_is_cured(service: Service) -> None:
    treatment = treat(service, sick(service)).json()
    treatment = finish_try(service, treatment, "mode collapse")
    assert [run["status"] for run in treatment["tries"]] == ["succeeded", "queued"]
    treatment = finish_try(service, treatment)
    assert (treatment["status"], treatment["best_run_id"]) == ("cured", treatment["tries"][1]["id"])
    assert treatment["reason"] == "'latent wider than the data' cured it"
    assert treatment["finished_at"] >= treatment["created_at"]


def test_a_warm_start_is_shown(sqlite_service: Service) -> None:
    run_id = sick(sqlite_service, "memorisation")
    (child,) = treat(sqlite_service, run_id).json()["tries"]
    assert child["remedy"] == "instance noise"
    assert child["warm_start"] == {"run_id": run_id, "epoch": 2, "checkpoint": "attempt-1-epoch-2.safetensors"}


def test_the_family_shows_every_run_with_what_made_it(service: Service) -> None:
    run_id = sick(service)
    treatment = finish_try(service, treat(service, run_id).json(), "oscillation")
    first, second = (run["id"] for run in treatment["tries"])
    family = service.client.get(f"/v1/runs/{second}/family").json()
    assert service.client.get(f"/v1/runs/{run_id}/family").json() == family
    assert [(m["id"], m["parent_id"], m["depth"]) for m in family["items"]] == [
        (run_id, None, 0),
        (first, run_id, 1),
        (second, first, 2),
    ]
    assert family["items"][1] == {
        "id": first,
        "parent_id": run_id,
        "depth": 1,
        "treatment_id": treatment["id"],
        "name": "first: usual settings",
        "preset": None,
        "remedy": "usual settings",
        "patch": USUAL.patch,
        "status": "succeeded",
        "verdict": "oscillation",
        "severity": "severe",
        "epochs_done": EPOCHS,
        "epochs_total": EPOCHS,
        "seed": 1,
    }


def test_the_same_key_gives_the_same_treatment(service: Service) -> None:
    run_id = sick(service)
    one, same = (treat(service, run_id, {"max_tries": 2}, "key").json()["id"] for _ in range(2))
    assert one == same
    conflict = treat(service, run_id, {"max_tries": 3}, "key")
    assert (conflict.status_code, conflict.json()["type"]) == (409, "urn:ganclinic:problem:idempotency-conflict")
    assert len(service.client.get(f"/v1/runs/{run_id}/treatments").json()["items"]) == 1


def test_a_treatment_can_be_cancelled(service: Service) -> None:
    treatment = treat(service, sick(service)).json()
    answer = service.client.post(f"{treatment['links']['self']}/cancel")
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["tries"][0]["status"]) == ("cancelled", "cancelled")
    assert service.client.post(f"{treatment['links']['self']}/cancel").json() == answer.json()


def test_cancelling_the_try_cancels_the_treatment(service: Service) -> None:
    treatment = treat(service, sick(service)).json()
    service.client.post(f"/v1/runs/{treatment['tries'][0]['id']}/cancel")
    assert service.client.get(treatment["links"]["self"]).json()["status"] == "cancelled"


def refused(answer: Response, status: int, kind: str) -> str:
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:ganclinic:problem:{kind}")
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["detail"]


def test_a_run_that_is_not_over_or_not_sick_is_refused(sqlite_service: Service) -> None:
    with transaction(sqlite_service.engine) as session:
        running = claim_run(session).run_id
        well = create_run(session).id
        end(session, well)
    words = {running: "it is running; wait for its end, or cancel it first.", well: "its verdict is 'healthy', without"}
    for run_id, text in words.items():
        assert text in refused(treat(sqlite_service, run_id), 409, "not-treatable")
    assert sqlite_service.rung == []


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"max_tries": 0}, "max_tries", "greater than or equal to 1"),
        ({"max_tries": 21}, "max_tries", "less than or equal to 20"),
        ({"max_tries": "many"}, "max_tries", "valid integer"),
        ({"max_epochs": 0}, "max_epochs", "greater than or equal to 1"),
        ({"max_epochs": 10**12}, "max_epochs", "less than or equal to"),
        ({"max_epochs": 1}, "max_epochs", f"the shortest try takes {EPOCHS} epochs, and 1 are left of 1; give more"),
        ({"finding": "sadness"}, "finding", "'mode collapse'"),
        ({"finding": "divergence"}, "finding", "is not a finding of the run; allowed: 'mode collapse'"),
        ({"tries": 3}, "tries", "is not a field"),
        ([], "body", "valid dictionary"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(sqlite_service: Service, body: Any, field: str, words: str) -> None:
    answer = treat(sqlite_service, sick(sqlite_service), body)
    refused(answer, 422, "invalid-request")
    (problem,) = answer.json()["errors"]
    assert problem["field"] == field
    assert words in problem["message"]


def test_what_does_not_exist_is_not_found(sqlite_service: Service) -> None:
    get, post = sqlite_service.client.get, sqlite_service.client.post
    for path in ("/v1/runs/nothing/treatments", "/v1/runs/nothing/family", "/v1/runs/%00/family"):
        refused(get(path), 404, "run-not-found")
    refused(post("/v1/runs/nothing/treatments"), 404, "run-not-found")
    for path in ("/v1/treatments/nothing", "/v1/treatments/%00"):
        refused(get(path), 404, "treatment-not-found")
        refused(post(f"{path}/cancel"), 404, "treatment-not-found")


def test_a_body_that_is_no_json_is_refused(sqlite_service: Service) -> None:
    path = f"/v1/runs/{sick(sqlite_service)}/treatments"
    assert (
        sqlite_service.client.post(path, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    )
    assert sqlite_service.client.post(path, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415


def test_a_run_without_a_diagnosis_is_refused(sqlite_service: Service) -> None:
    run_id = sick(sqlite_service)
    with transaction(sqlite_service.engine) as session:
        for row in session.query(DiagnosisRow).filter_by(run_id=run_id):
            session.delete(row)
        assert lifecycle.get(session, run_id).status == "succeeded"
    assert "nothing is known of it" in refused(treat(sqlite_service, run_id), 409, "not-treatable")
