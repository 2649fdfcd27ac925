"""Sweeps over HTTP: one request, up to a thousand runs, all or none."""

from typing import Any

import pytest

from ganclinic.client import Client
from ganlib.spec.sweep import Sweep
from tests.support.api import TOKEN, Service
from tests.support.serving import served
from tests.support.store import SPEC

RATE = "optimizer.learning_rate"


def sweep(**parts: Any) -> dict[str, Any]:
    return {"base": {"spec": SPEC}, "vary": {RATE: [1e-4, 2e-4]}, **parts}


def post(service: Service, **parts: Any) -> Any:
    return service.client.post("/v1/batches", json={"name": "rates", "sweep": sweep(**parts)})


def test_each_combination_is_a_run_of_one_batch(service: Service) -> None:
    answer = post(service, seeds=3)
    assert answer.status_code == 202, answer.text
    batch = answer.json()
    assert (batch["name"], len(batch["runs"]), service.count_runs()) == ("rates", 6, 6)
    specs = [service.client.get(f"/v1/runs/{run['id']}").json()["spec"] for run in batch["runs"]]
    found = [(spec["optimizer"]["learning_rate"], spec["seed"]) for spec in specs]
    assert found == [(rate, seed) for rate in (1e-4, 2e-4) for seed in range(3)]
    assert batch["runs"][5]["name"] == "learning_rate 0.0002, seed 2"
    assert service.rung == [6]


def test_one_run_that_is_not_valid_leaves_none_and_the_first_twenty_are_named(service: Service) -> None:
    answer = post(service, vary={RATE: [1e-4, *(-float(n) for n in range(1, 31))], "training.epochs": [1, 0]})
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert len(errors) == 20
    assert [error["field"] for error in errors[:3]] == [
        "runs[1].training.epochs",
        f"runs[2].{RATE}",
        f"runs[3].{RATE}",
    ]
    assert "not -1.0" in errors[1]["message"]
    assert service.count_runs() == 0


@pytest.mark.parametrize(
    ("parts", "field", "words"),
    [
        ({"vary": {"optimiser.rate": [1]}}, "runs[0].optimiser", "is not a field of the spec here"),
        ({"base": {"preset": "nope"}}, "runs[0].preset", "nope"),
        ({"vary": {}}, "sweep.vary", "nothing varies"),
        ({"vary": {RATE: [1]}, "seeds": 5000}, "sweep.seeds", "1000"),
        (
            {"kind": "random", "count": 2, "vary": {"seed": {"low": 0, "high": 2**63, "integer": True}}},
            "sweep.vary.seed.range.high",
            "may be from -9007199254740992 to 9007199254740992",
        ),
    ],
)
def test_what_gives_no_runs_is_refused_by_field(
    sqlite_service: Service, parts: dict[str, Any], field: str, words: str
) -> None:
    answer = post(sqlite_service, **parts)
    assert answer.status_code == 422
    (error, *_) = answer.json()["errors"]
    assert error["field"].startswith(field)
    assert words in error["message"]


def test_the_same_sweep_with_the_same_key_is_made_once(service: Service) -> None:
    body = {"sweep": sweep(kind="random", vary={RATE: {"low": 1e-5, "high": 1e-3, "log": True}}, count=4)}
    headers = {"Idempotency-Key": "again"}
    first, second = (service.client.post("/v1/batches", json=body, headers=headers).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert service.count_runs() == 4


def test_the_client_sweeps(sqlite_service: Service) -> None:
    with served(sqlite_service) as url, Client(url, TOKEN) as client:
        batch = client.sweep(Sweep.model_validate(sweep(seeds=[5, 6])), name="mine")
        assert [run.seed for run in batch.runs] == [5, 6, 5, 6]
        assert client.get_batch(batch.id).name == "mine"
