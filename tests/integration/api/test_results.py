"""What came of the runs of a batch, and runs side by side, on both databases."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from ganclinic.cli.output import Output
from ganclinic.cli.parser import make_parser
from ganclinic.cli.results import results
from ganclinic.client import Client
from ganlib.records import Null
from store.core.db import transaction
from store.runs import batches, endings, recording
from tests.support.api import TOKEN, Service
from tests.support.serving import served
from tests.support.store import STEPS, claim_run, diagnosis, epoch_record, evaluation, request, resolved

RATE = "optimizer.learning_rate"


def judged(epoch: int, ndb: float) -> Any:
    null = Null(mean=0.05, q05=0.0, q95=0.1, excess=ndb - 0.05)
    return replace(evaluation(epoch), values={"ndb_over_k": ndb, "js": float("nan")}, nulls={"ndb_over_k": null})


@pytest.fixture
def batch(service: Service) -> list[str]:
    """The batch, and three runs of it: one sick, one healthy, one that waits."""
    requests = [request("=1+1", **{RATE: 1e-3}), request("b", **{RATE: 2e-3}), request("c", **{"training.epochs": 5})]
    with transaction(service.engine) as session:
        made = batches.create_batch(session, resolved(*requests), name="rates")
        for number, figures in enumerate(([0.5, 0.8], [0.4, 0.1])):
            claim = claim_run(session)
            assert claim.run_id == made.runs[number].id
            for epoch, ndb in enumerate(figures, 1):
                collapse = {"collapse_since": 2} if number == 0 and epoch == 2 else {}
                evaluations = (evaluation(0), judged(1, ndb)) if epoch == 1 else (judged(epoch, ndb),)
                record = epoch_record(
                    claim, epoch, evaluations=evaluations, diagnosis=diagnosis(epoch, **collapse), seconds=1.25
                )
                recording.record_epoch(session, record)
            endings.finish(session, claim.run_id, claim.token, "halted")
        return [made.id, *(run.id for run in made.runs)]


def get(service: Service, path: str, **query: Any) -> dict[str, Any]:
    answer = service.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_results_tell_what_differs_and_what_came_of_it(service: Service, batch: list[str]) -> None:
    batch_id, first, _, third = batch
    found = get(service, f"/v1/batches/{batch_id}/results")
    assert (found["batch_id"], found["name"]) == (batch_id, "rates")
    assert sorted(found["varied"]) == [RATE, "training.epochs"]
    assert found["figures"] == ["ndb_over_k", "js"]
    assert [item["run_id"] for item in found["items"]] == batch[1:]
    assert found["items"][0] == {
        "run_id": first,
        "name": "=1+1",
        "status": "halted",
        "spec": {RATE: 1e-3, "training.epochs": 3},
        "verdict": "mode collapse",
        "severity": "severe",
        "first_epoch_seen": 2,
        "epochs_done": 2,
        "seconds": 2.5,
        "evaluated_epoch": 2,
        "values": {"ndb_over_k": 0.8, "js": None},
        "nulls": {"ndb_over_k": 0.05},
    }
    waiting = found["items"][2]
    assert (waiting["run_id"], waiting["status"], waiting["evaluated_epoch"]) == (third, "queued", None)
    assert (waiting["values"], waiting["seconds"], waiting["spec"]["training.epochs"]) == ({}, 0, 5)


def test_results_are_sorted_by_a_figure_and_chosen_by_verdict(service: Service, batch: list[str]) -> None:
    path = f"/v1/batches/{batch[0]}/results"

    def order(**query: str) -> list[int]:
        return [batch.index(item["run_id"]) for item in get(service, path, **query)["items"]]

    assert order(sort="ndb_over_k") == [2, 1, 3]
    assert order(sort="-ndb_over_k") == [1, 2, 3]
    assert order(sort="-seconds") == [1, 2, 3]
    assert order(sort="seconds") == [3, 1, 2]
    assert order(sort="nothing_of_that_name") == [1, 2, 3]
    assert order(verdict="mode collapse") == [1]
    for query in ({"sort": "run id"}, {"verdict": "odd"}, {"format": "xls"}):
        assert service.client.get(path, params=query).status_code == 422


def test_results_are_a_table_that_a_spreadsheet_takes_for_no_formula(service: Service, batch: list[str]) -> None:
    answer = service.client.get(f"/v1/batches/{batch[0]}/results", params={"format": "csv", "sort": "ndb_over_k"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["run_id"] for row in rows] == [batch[2], batch[1], batch[3]]
    assert (rows[0]["ndb_over_k"], rows[0]["ndb_over_k_null"], rows[0]["js"], rows[0]["seconds"]) == (
        "0.1",
        "0.05",
        "",
        "2.5",
    )
    assert (rows[1]["name"], rows[1][RATE], rows[1]["verdict"]) == ("'=1+1", "0.001", "mode collapse")
    assert (rows[2]["verdict"], rows[2]["ndb_over_k"]) == ("", "")


def test_runs_are_compared_over_the_same_epochs(service: Service, batch: list[str]) -> None:
    _, first, second, third = batch
    found = get(service, "/v1/compare", runs=[second, first, third, second])
    assert [item["run_id"] for item in found["items"]] == [second, first, third]
    assert set(found["varied"]) == {RATE, "training.epochs"}
    assert found["series"]["epochs"] == [1, 2]
    losses = found["series"]["columns"]["d_loss_real"]
    middle = (STEPS - 1) / 2
    assert losses == {first: [100 + middle, 200 + middle], second: [100 + middle, 200 + middle], third: [None, None]}
    assert found["evaluations"]["epochs"] == [0, 1, 2]
    assert found["evaluations"]["values"]["ndb_over_k"] == {
        first: [0.0, 0.5, 0.8],
        second: [0.0, 0.4, 0.1],
        third: [None, None, None],
    }
    healthy = {"verdict": "healthy", "severity": "none"}
    assert found["verdicts"] == {
        first: [
            {"first_epoch": 1, "last_epoch": 1, **healthy},
            {"first_epoch": 2, "last_epoch": 2, "verdict": "mode collapse", "severity": "severe"},
        ],
        second: [{"first_epoch": 1, "last_epoch": 2, **healthy}],
        third: [],
    }
    assert found["samples"] == {first: [], second: [], third: []}


def test_what_cannot_be_compared_is_refused(service: Service, batch: list[str]) -> None:
    assert service.client.get("/v1/compare", params={"runs": [batch[1], "a" * 16]}).status_code == 404
    assert service.client.get("/v1/compare").status_code == 422
    assert service.client.get("/v1/compare", params={"runs": [batch[1]] * 101}).status_code == 422
    assert service.client.get(f"/v1/batches/{'a' * 16}/results").status_code == 404
    for path in ("/v1/compare?runs=a", f"/v1/batches/{batch[0]}/results"):
        assert service.anonymous.get(path).status_code == 401


def shown(client: Client, *options: str, as_json: bool = False) -> str:
    out = io.StringIO()
    output = Output(results=Console(file=out, width=200), notes=Console(file=io.StringIO()), as_json=as_json)
    assert results(client, output, make_parser().parse_args(["results", *options])) == 0
    return out.getvalue()


def test_the_client_and_the_command_line_show_results(service: Service, batch: list[str]) -> None:
    batch_id, first, second, third = batch
    with served(service) as url, Client(url, TOKEN) as client:
        found = client.results(batch_id, sort="ndb_over_k")
        assert [(row.run_id, row.values.get("ndb_over_k")) for row in found.items] == [
            (second, 0.1),
            (first, 0.8),
            (third, None),
        ]
        assert client.compare_runs([first, second]).evaluations.epochs == (0, 1, 2)
        table = shown(client, batch_id, "--sort=-ndb_over_k").splitlines()
        assert table[0].split() == [
            "run",
            "learning_rate",
            "epochs",
            "status",
            "verdict",
            "ndb_over_k",
            "js",
            "seconds",
        ]
        assert table[1].split() == [first, "0.001", "3", "halted", "mode", "collapse", "0.8", "2"]
        assert [line.split()[0] for line in table[1:]] == [first, second, third]
        assert shown(client, batch_id, "--verdict", "healthy").splitlines()[1].startswith(second)
        assert json.loads(shown(client, batch_id, as_json=True))["varied"] == list(found.varied)
        lines = shown(client, batch_id, "--csv").splitlines()
        assert lines[0].startswith("run_id,name,status,")
        assert len(lines) == 4
