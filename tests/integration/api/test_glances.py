"""Runs at a glance, over HTTP."""

from typing import Any

import numpy as np
import pytest

from store.core.db import transaction
from store.files.backends import open_artifacts
from store.runs import recording
from store.runs.endings import finish
from store.runs.glances import POINTS
from tests.support.api import STRIP, Service, record
from tests.support.store import create_run, epoch_record, step_block


def look(service: Service, *run_ids: str) -> list[dict[str, Any]]:
    answer = service.client.get("/v1/glances", params={"run": run_ids})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_a_glance_has_losses_the_newest_picture_and_the_newest_ndb(service: Service) -> None:
    run = record(service)
    (glance,) = look(service, run.id)
    series = service.client.get(f"{run.path}/series").json()["columns"]
    assert (glance["run_id"], glance["epochs"]) == (run.id, [1, 2, 3])
    assert glance["d_loss"] == pytest.approx(series["d_loss"]["mean"])
    assert glance["g_loss"] == pytest.approx(series["g_loss"]["mean"])
    assert (glance["samples"]["epoch"], glance["samples"]["href"]) == (3, f"{run.path}/samples/3")
    assert glance["ndb"]["epoch"] == 3
    assert glance["ndb"]["ndb_over_k"] == 0.5
    assert glance["ndb"]["null"] == {"mean": 0.05, "q05": 0.0, "q95": 0.5, "excess": 0.45}


def test_the_newest_samples_are_shown_where_a_later_epoch_has_another_picture(service: Service) -> None:
    run = record(service, 2)
    with transaction(service.engine) as session:
        strip = open_artifacts(service.settings).put(STRIP, "image/png")
        recording.record_epoch(session, epoch_record(run.claim, 3, artifacts={"bins": strip}))
    (glance,) = look(service, run.id)
    assert glance["samples"]["epoch"] == 2


def test_a_run_that_has_recorded_nothing_has_an_empty_glance(service: Service) -> None:
    with transaction(service.engine) as session:
        run_id = create_run(session).id
    nothing = {"samples": None, "ndb": None, "epoch_seconds": None, "seconds_left": None}
    assert look(service, run_id) == [{"run_id": run_id, "epochs": [], "d_loss": [], "g_loss": [], **nothing}]


def test_the_time_left_is_that_of_the_epochs_to_come_and_null_at_the_end(sqlite_service: Service) -> None:
    run = record(sqlite_service, 3)
    total = sqlite_service.client.get(run.path).json()["epochs_total"]
    (glance,) = look(sqlite_service, run.id)
    assert (glance["epoch_seconds"], glance["seconds_left"]) == (1.5, 1.5 * (total - 3))
    with transaction(sqlite_service.engine) as session:
        finish(session, run.id, run.claim.token, "failed")
    assert look(sqlite_service, run.id)[0]["seconds_left"] is None


def test_long_runs_are_thinned_out_to_their_last_epoch(service: Service) -> None:
    run = record(service, 100)
    (glance,) = look(service, run.id)
    assert glance["epochs"][-1] == 100
    assert POINTS // 2 < len(glance["epochs"]) <= POINTS
    steps = np.diff(glance["epochs"][:-1])
    assert set(steps.tolist()) == {3}


def test_losses_that_are_not_finite_are_null(sqlite_service: Service) -> None:
    run = record(sqlite_service, 1, steps=lambda epoch: np.full_like(step_block(epoch), np.nan))
    assert look(sqlite_service, run.id)[0]["d_loss"] == [None]


def test_runs_come_in_the_order_that_was_asked_for_and_unknown_ones_not(service: Service) -> None:
    first, second = record(service, 1), record(service, 1)
    found = look(service, second.id, "f" * 16, first.id, second.id)
    assert [glance["run_id"] for glance in found] == [second.id, first.id]


@pytest.mark.parametrize("ids", [["nonsense"], ["0" * 16] * 101])
def test_what_is_no_id_and_too_many_are_refused(sqlite_service: Service, ids: list[str]) -> None:
    assert sqlite_service.client.get("/v1/glances", params={"run": ids}).status_code == 422


def test_a_caller_is_told_who_it_is(sqlite_service: Service) -> None:
    told = sqlite_service.client.get("/v1/caller").json()
    assert told == {"user": "default", "team": None, "administrator": True}
