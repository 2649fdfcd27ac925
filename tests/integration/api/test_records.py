"""What a run has recorded, over HTTP: series, samples, figures, evaluations, diagnoses."""

import io
import itertools
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganlib.diagnosis.thresholds import RULESET
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.records import STEP_COLUMNS, EpochEvaluation
from store.core.db import transaction
from store.files.artifacts import LocalArtifacts
from store.runs.endings import finish
from store.runs.recording import diagnosis_row
from tests.support.api import PICTURE, STRIP, Recorded, Service, record
from tests.support.store import STEPS, create_run, diagnosis


@pytest.fixture
def recorded(service: Service) -> Recorded:
    return record(service)


@pytest.fixture
def empty(sqlite_service: Service) -> str:
    """Path of a run that has recorded nothing yet."""
    with transaction(sqlite_service.engine) as session:
        return f"/v1/runs/{create_run(session).id}"


def get(service: Service, path: str, **query: Any) -> dict[str, Any]:
    answer = service.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- series -----------------------------------------------------------------------------------------------------


def test_a_series_has_a_point_for_each_epoch(service: Service, recorded: Recorded) -> None:
    series = get(service, f"{recorded.path}/series")
    assert (series["resolution"], series["steps_per_epoch"]) == ("epoch", STEPS)
    assert (series["steps"], series["epochs"]) == ([1, 5, 9], [1, 2, 3])
    assert set(series["columns"]) == {*STEP_COLUMNS, "d_loss"}
    real, fake, both = (series["columns"][name]["mean"] for name in ("d_loss_real", "d_loss_fake", "d_loss"))
    assert real == pytest.approx([101.5, 201.5, 301.5])
    assert both == pytest.approx([(a + b) / 2 for a, b in zip(real, fake, strict=True)])


def test_a_series_has_a_point_for_each_step_that_was_asked_for(service: Service, recorded: Recorded) -> None:
    series = get(service, f"{recorded.path}/series", resolution="step", first_step=4, last_step=6)
    assert (series["steps"], series["epochs"]) == ([4, 5, 6], [1, 2, 2])
    column = series["columns"]["d_loss_real"]
    assert column["mean"] == column["min"] == column["max"] == pytest.approx([103, 200, 201])
    assert series["columns"]["d_loss"]["mean"] == pytest.approx([103.05, 200.05, 201.05], rel=1e-6)


def test_a_series_of_epochs_holds_those_with_a_step_that_was_asked_for(service: Service, recorded: Recorded) -> None:
    assert get(service, f"{recorded.path}/series", first_step=4, last_step=5)["epochs"] == [1, 2]
    assert get(service, f"{recorded.path}/series", first_step=5, last_step=8)["epochs"] == [2]


@pytest.mark.parametrize("resolution", ["step", "epoch"])
def test_a_series_past_the_end_is_empty(service: Service, recorded: Recorded, resolution: str) -> None:
    for query in ({"first_step": 13}, {"first_step": 10**11}, {"first_step": 8, "last_step": 4}):
        series = get(service, f"{recorded.path}/series", resolution=resolution, **query)
        assert (series["steps"], series["columns"]["g_loss"]["mean"]) == ([], [])


@pytest.mark.parametrize("resolution", ["step", "epoch"])
def test_a_series_of_a_run_without_epochs_is_empty(sqlite_service: Service, empty: str, resolution: str) -> None:
    assert get(sqlite_service, f"{empty}/series", resolution=resolution)["steps"] == []


@pytest.mark.parametrize(
    ("resolution", "points"), [("step", 5), ("epoch", 2), ("step", 1), ("step", 12), ("step", 5000)]
)
def test_a_thinned_series_keeps_the_extremes(sqlite_service: Service, resolution: str, points: int) -> None:
    def with_spikes(epoch: int) -> np.ndarray:
        steps = np.ones((STEPS, len(STEP_COLUMNS)), np.float32)
        steps[2] = {1: 50, 2: -7, 3: 1}[epoch]
        return steps

    recorded = record(sqlite_service, steps=with_spikes)
    series = get(sqlite_service, f"{recorded.path}/series", resolution=resolution, max_points=points)
    assert len(series["steps"]) == min(points, 12 if resolution == "step" else 3)
    column = series["columns"]["g_loss"]
    highest, lowest = (50, -7) if resolution == "step" else (53 / 4, -1)
    assert (max(column["max"]), min(column["min"])) == pytest.approx((highest, lowest))
    assert series["steps"] == sorted(series["steps"])


def test_values_that_are_not_finite_are_null(sqlite_service: Service) -> None:
    def broken(epoch: int) -> np.ndarray:
        steps = np.ones((STEPS, len(STEP_COLUMNS)), np.float32)
        steps[1], steps[2] = (np.nan, np.inf) if epoch == 2 else (1, 1)
        return steps

    path = f"{record(sqlite_service, steps=broken).path}/series"
    assert get(sqlite_service, path)["columns"]["d_loss"]["mean"] == [1, None, 1]
    steps = get(sqlite_service, path, resolution="step")["columns"]["g_loss"]
    assert steps["mean"] == steps["min"] == steps["max"] == [1] * 5 + [None] * 2 + [1] * 5
    thinned = get(sqlite_service, path, resolution="step", max_points=3)["columns"]["g_loss"]
    assert (thinned["mean"], thinned["min"], thinned["max"]) == ([1, None, 1], [1, 1, 1], [1, 1, 1])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"resolution": "year"}, "resolution"),
        ({"first_step": 0}, "first_step"),
        ({"last_step": 10**30}, "last_step"),
        ({"max_points": 5001}, "max_points"),
        ({"max_points": 0}, "max_points"),
    ],
)
def test_a_bad_series_query_is_refused(sqlite_service: Service, empty: str, query: dict[str, Any], field: str) -> None:
    answer = sqlite_service.client.get(f"{empty}/series", params=query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


# --- samples ----------------------------------------------------------------------------------------------------


def test_samples_are_listed_with_links_that_lead_to_pictures(service: Service, recorded: Recorded) -> None:
    items = get(service, f"{recorded.path}/samples")["items"]
    assert [item["epoch"] for item in items] == [1, 2, 3]
    for item in items:
        answer = service.client.get(item["href"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content == PICTURE % item["epoch"]
        assert len(answer.content) == item["size"]
        assert answer.headers["etag"] == f'"{item["sha256"]}"'
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_picture_that_the_client_has_is_not_sent_again(service: Service, recorded: Recorded) -> None:
    path = f"{recorded.path}/samples/2"
    etag = service.client.get(path).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = service.client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert service.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("outcome", "kind", "may_go_on"),
    [
        ("succeeded", None, True),
        ("halted", None, True),
        ("failed", "TimeLimit", True),
        ("failed", "CheckpointUnreadable", True),
        ("failed", "OutOfMemory", False),
        ("cancelled", None, False),
    ],
)
def test_pictures_are_kept_for_good_once_the_run_can_make_no_others(
    sqlite_service: Service, outcome: Any, kind: str | None, may_go_on: bool
) -> None:
    """One that is extended makes its last epochs again, on a GPU with other numbers."""
    recorded = record(sqlite_service, 1)
    path = f"{recorded.path}/samples/1"
    assert sqlite_service.client.get(path).headers["cache-control"] == "private, no-cache"
    with transaction(sqlite_service.engine) as session:
        finish(session, recorded.id, recorded.claim.token, outcome, error="e", error_kind=kind)
    expected = "private, no-cache" if may_go_on else "private, max-age=31536000, immutable"
    assert sqlite_service.client.get(path).headers["cache-control"] == expected


def test_a_picture_whose_file_is_missing_is_not_found(service: Service, recorded: Recorded) -> None:
    item = get(service, f"{recorded.path}/samples")["items"][0]
    LocalArtifacts(service.settings.artifacts).path(item["sha256"]).unlink()
    answer = service.client.get(item["href"])
    assert (answer.status_code, answer.json()["title"]) == (404, "The stored file is missing")


# --- figures ----------------------------------------------------------------------------------------------------


def test_what_the_bins_hold_is_a_picture_of_its_own(sqlite_service: Service) -> None:
    path = f"{record(sqlite_service).path}/ndb/bins.png"
    for query in ({}, {"epoch": 1}):
        answer = sqlite_service.client.get(path, params=query)
        assert (answer.content, answer.headers["content-type"]) == (STRIP, "image/png")
    again = sqlite_service.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert sqlite_service.client.get(path, params={"epoch": 0}).status_code == 404


@pytest.mark.parametrize("figure", ["losses", "ndb"])
def test_figures_are_drawn_in_both_formats(service: Service, recorded: Recorded, figure: str) -> None:
    png = service.client.get(f"{recorded.path}/figures/{figure}.png")
    assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(png.content)) as picture:
        assert picture.format == "PNG"
    svg = service.client.get(f"{recorded.path}/figures/{figure}.svg")
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert recorded.id in "".join(ET.fromstring(svg.content).itertext())


@pytest.mark.parametrize("figure", ["losses", "ndb"])
def test_a_figure_is_drawn_again_only_after_another_epoch(sqlite_service: Service, figure: str) -> None:
    first, second = record(sqlite_service, 1), record(sqlite_service, 2)
    one, two = (sqlite_service.client.get(f"{r.path}/figures/{figure}.svg").headers["etag"] for r in (first, second))
    assert one != two
    path = f"{second.path}/figures/{figure}.svg"
    assert sqlite_service.client.get(path, headers={"If-None-Match": two}).status_code == 304
    assert sqlite_service.client.get(path, headers={"If-None-Match": one}).status_code == 200


def test_the_ndb_figure_is_that_of_the_epoch_asked_for(sqlite_service: Service) -> None:
    path = f"{record(sqlite_service).path}/figures/ndb.svg"
    assert sqlite_service.client.get(path, params={"epoch": 0}).status_code == 404  # was evaluated without bins
    last, second = (sqlite_service.client.get(path, params=q).text for q in ({}, {"epoch": 2}))
    assert "epoch 3, " in last
    assert "epoch 2, " in second


def test_the_ndb_figure_shows_what_the_bins_hold(sqlite_service: Service) -> None:
    figure = sqlite_service.client.get(f"{record(sqlite_service).path}/figures/ndb.svg").text
    assert "<image " in figure


@pytest.mark.parametrize(
    "path",
    [
        "ndb",
        "ndb?epoch=1",
        "figures/losses.png",
        "figures/ndb.svg",
        "figures/ndb.svg?epoch=1",
        "diagnosis",
        "diagnosis?epoch=1",
        "samples/1",
    ],
)
def test_what_is_not_recorded_yet_is_not_found(sqlite_service: Service, empty: str, path: str) -> None:
    answer = sqlite_service.client.get(f"{empty}/{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:ganclinic:problem:not-recorded")
    assert "has recorded no" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["samples", "evaluations", "diagnosis/history"])
def test_lists_of_a_run_without_epochs_are_empty(sqlite_service: Service, empty: str, path: str) -> None:
    assert get(sqlite_service, f"{empty}/{path}") == {"items": []}


@pytest.mark.parametrize(
    "path", ["figures/losses.pdf", "samples/last", "samples/-1", "diagnosis?epoch=x", "diagnosis?epok=1", "series?x="]
)
def test_a_bad_path_is_refused(sqlite_service: Service, empty: str, path: str) -> None:
    assert sqlite_service.client.get(f"{empty}/{path}").status_code == 422


# --- evaluations and diagnoses ----------------------------------------------------------------------------------


def test_evaluations_can_be_read_back(service: Service, recorded: Recorded) -> None:
    items = get(service, f"{recorded.path}/evaluations")["items"]
    assert [item["epoch"] for item in items] == [0, 1, 2, 3]
    assert items[1]["values"] == {"ndb_over_k": 0.5, "js": None, "missing_mass": 0.0}
    assert items[1]["nulls"]["ndb_over_k"]["q95"] == 0.5
    assert [b["different"] for b in items[1]["bins"]] == [True, False]
    assert [EpochEvaluation.from_json(item).to_json() for item in items] == items


def test_the_bins_of_ndb_come_with_flags_null_and_picture(service: Service, recorded: Recorded) -> None:
    last, second = (get(service, f"{recorded.path}/ndb", **query) for query in ({}, {"epoch": 2}))
    assert (last["epoch"], second["epoch"]) == (3, 2)
    assert (last["alpha"], last["num_bins"], last["n_real"], last["n_fake"]) == (0.05, 2, 100, 100)
    assert (last["different"], last["missing"]) == ([1], [])
    assert last["values"] == {"ndb_over_k": 0.5, "js": None, "missing_mass": 0.0}
    assert last["nulls"]["js"]["excess"] == 0.45
    assert [b["z"] for b in last["bins"]] == [4.0, -0.1]
    assert service.client.get(second["figure"]).content[:4] == b"\x89PNG"
    assert get(service, recorded.path)["links"]["ndb"] == f"{recorded.path}/ndb"
    assert service.client.get(f"{recorded.path}/ndb", params={"epoch": 0}).status_code == 404  # evaluated without bins


def test_the_diagnosis_is_the_last_or_that_of_an_epoch(service: Service, recorded: Recorded) -> None:
    last, first = (get(service, f"{recorded.path}/diagnosis", **query) for query in ({}, {"epoch": 1}))
    assert (last["epoch"], last["verdict"], last["findings"][0]["first_epoch"]) == (3, "mode collapse", 2)
    assert (first["epoch"], first["verdict"], first["findings"]) == (1, "healthy", [])
    assert Diagnosis.from_json(last) == diagnosis(3, collapse_since=2)  # as the client reads it


def test_every_evidence_has_a_picture(service: Service, recorded: Recorded) -> None:
    [finding] = get(service, f"{recorded.path}/diagnosis")["findings"]
    found = {evidence["picture"]: evidence["href"] for evidence in finding["evidence"]}
    assert found == {
        "losses": f"{recorded.path}/figures/losses.png",
        "samples": f"{recorded.path}/samples/3",
        "ndb": f"{recorded.path}/figures/ndb.png?epoch=3",
    }
    for name in ("losses", "samples"):
        answer = service.client.get(found[name])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


def test_a_diagnosis_is_by_the_newest_ruleset_or_by_one_that_is_named(service: Service, recorded: Recorded) -> None:
    with transaction(service.engine) as session:
        later = (replace(diagnosis(epoch), ruleset="10") for epoch in (2, 3))
        session.add_all(diagnosis_row(recorded.id, each) for each in later)
    path = f"{recorded.path}/diagnosis"
    assert get(service, path)["ruleset"] == "10"
    old = get(service, path, ruleset="test-1", epoch=2)
    assert (old["ruleset"], old["epoch"], old["verdict"]) == ("test-1", 2, "mode collapse")
    histories = {name: get(service, f"{path}/history", **query)["items"] for name, query in RULESETS.items()}
    judged = {name: [(item["epoch"], item["ruleset"]) for item in items] for name, items in histories.items()}
    assert judged == {
        "newest": [(1, "test-1"), (2, "10"), (3, "10")],
        "old": [(1, "test-1"), (2, "test-1"), (3, "test-1")],
        "unknown": [],
    }


RULESETS = {"newest": {}, "old": {"ruleset": "test-1"}, "unknown": {"ruleset": "9"}}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"ruleset": "9"}, "no diagnosis by the ruleset '9'; those that have judged it: test-1."),
        ({"ruleset": "9", "epoch": 2}, "no diagnosis of epoch 2 by the ruleset '9'"),
        ({"ruleset": "\0", "epoch": 9}, "no diagnosis of epoch 9 by the ruleset"),
    ],
)
def test_a_ruleset_that_judged_nothing_is_not_found_and_the_others_are_named(
    service: Service, recorded: Recorded, query: dict[str, Any], words: str
) -> None:
    answer = service.client.get(f"{recorded.path}/diagnosis", params=query)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:ganclinic:problem:not-recorded")
    assert words in answer.json()["detail"]


def test_a_run_that_is_over_can_be_diagnosed_again(service: Service, recorded: Recorded) -> None:
    with transaction(service.engine) as session:
        finish(session, recorded.id, recorded.claim.token, "succeeded")
    path = f"{recorded.path}/diagnosis"
    answers = [service.client.post(path) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    first, second = (answer.json() for answer in answers)
    assert (first["epoch"], first["ruleset"], first["verdict"]) == (3, RULESET, "undetermined")
    assert second == first == get(service, path)
    assert get(service, path, ruleset="test-1")["verdict"] == "mode collapse"
    assert get(service, recorded.path)["verdict"] == "undetermined"
    assert [run["id"] for run in get(service, "/v1/runs", verdict="undetermined")["items"]] == [recorded.id]
    assert [item["ruleset"] for item in get(service, f"{path}/history")["items"]] == [RULESET] * 3


def test_a_run_that_is_not_over_cannot_be_diagnosed_again(service: Service, recorded: Recorded) -> None:
    answer = service.client.post(f"{recorded.path}/diagnosis")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:ganclinic:problem:run-not-over")
    assert "is running and diagnoses each epoch itself; diagnose it again once it is over" in answer.json()["detail"]


def test_there_is_nothing_to_diagnose_without_epochs(sqlite_service: Service, empty: str) -> None:
    assert sqlite_service.client.post(f"{empty}/cancel").status_code == 202
    answer = sqlite_service.client.post(f"{empty}/diagnosis")
    assert (answer.status_code, answer.json()["detail"]) == (404, "The run has recorded no epoch to diagnose.")
    assert sqlite_service.client.post("/v1/runs/nope/diagnosis").status_code == 404


def test_the_history_shows_when_the_verdict_changed(service: Service, recorded: Recorded) -> None:
    items = get(service, f"{recorded.path}/diagnosis/history")["items"]
    verdicts = [verdict for verdict, _ in itertools.groupby(item["verdict"] for item in items)]
    assert [item["epoch"] for item in items] == [1, 2, 3]
    assert verdicts == ["healthy", "mode collapse"]


def test_whoever_has_read_up_to_an_epoch_reads_only_what_is_new(service: Service, recorded: Recorded) -> None:
    for path in ("evaluations", "diagnosis/history", "samples"):
        every = get(service, f"{recorded.path}/{path}")["items"]
        new = get(service, f"{recorded.path}/{path}", since=2)["items"]
        assert [item["epoch"] for item in new] == [3]
        assert new == every[-1:]
        assert get(service, f"{recorded.path}/{path}", since=3)["items"] == []
        assert service.client.get(f"{recorded.path}/{path}", params={"since": -2}).status_code == 422


def test_whoever_has_read_up_to_a_step_reads_only_the_steps_after_it(service: Service, recorded: Recorded) -> None:
    every = get(service, f"{recorded.path}/series", resolution="step")
    new = get(service, f"{recorded.path}/series", resolution="step", since=10)
    assert new["steps"] == every["steps"][10:] == [11, 12]
    assert new["columns"]["g_loss"]["mean"] == every["columns"]["g_loss"]["mean"][10:]
    assert get(service, f"{recorded.path}/series", since=8)["steps"] == [9]
    assert get(service, f"{recorded.path}/series", since=12)["steps"] == []
