"""What users and teams may store: counted over their runs, comparisons and uploads, and refused beyond."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from sqlalchemy import Engine, update

from ganlib.step_blocks import MEDIA_TYPE, encode
from store.core.db import transaction
from store.core.errors import StorageFull, StorageQuotaExceeded
from store.core.models import Run
from store.core.settings import Settings
from store.files import usage
from store.files.backends import checkpoint_files
from store.files.usage import StorageGauge
from store.scheduling.accounts import Quota, Sharing
from store.scheduling.owners import Owner, ensure
from tests.integration.api.test_comparisons import FAKE, REAL
from tests.integration.api.test_sharing import RUN, client_of, make_shared, submit
from tests.integration.api.test_storage import save_checkpoint
from tests.integration.api.test_uploads import POINTS
from tests.support.api import PICTURE, STRIP, Service, record
from tests.support.sharing import ADA, CYD

QUOTAS = "[quotas.users.ada]\nstorage_bytes = 1000\n[quotas.teams.vision]\nstorage_bytes = 2000\n"
SHARING = Sharing(user_quotas={"ada": Quota(storage_bytes=1000)})
PICTURES = len(PICTURE % 1) + len(STRIP)


def give(service: Service, run_id: str, owner: Owner) -> None:
    """Makes the run that owner's."""
    with transaction(service.engine) as session:
        ensure(session, owner)
        session.execute(update(Run).where(Run.id == run_id).values(**owner.columns))


def users_of(service: Service) -> dict[str, dict[str, Any]]:
    return {told["user"]: told for told in service.client.get("/v1/storage").json()["users"]}


def test_what_each_user_stores_is_told(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, QUOTAS)
    first, second = record(service, 1).id, record(service, 1).id  # with the same pictures
    for run_id in (first, second):
        give(service, run_id, ADA)
        save_checkpoint(service, run_id, 300)
    save_checkpoint(service, "0" * 16, 5)  # of no run
    cyd = client_of(service, "cyd")
    cyd.post("/v1/evaluations", files={"real": REAL, "fake": FAKE})
    upload = cyd.post("/v1/uploads", files={"file": POINTS}).json()
    told = users_of(service)
    assert (told["ada"]["artifacts"], told["ada"]["checkpoints"], told["ada"]["uploads"]) == (PICTURES, 600, 0)
    assert (told["ada"]["total"], told["ada"]["quota"], told["ada"]["team_quota"]) == (PICTURES + 600, 1000, 2000)
    assert told["cyd"]["uploads"] == upload["size"]
    stored = sum(path.stat().st_size for path in service.settings.artifacts.rglob("*") if path.is_file())
    assert told["cyd"]["artifacts"] == stored - PICTURES
    assert (told["cyd"]["quota"], told["cyd"]["team_quota"]) == (None, None)


def test_a_user_gets_below_its_quota_by_deleting_an_evaluation(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, QUOTAS)
    ada = client_of(service, "ada")
    files = {"real": REAL, "fake": FAKE}
    path = ada.post("/v1/evaluations", files=files).json()["links"]["self"]
    service.app.state.services.storage.forget()
    assert service.app.state.services.storage.usages()
    refused = ada.post("/v1/evaluations", files=files)
    assert refused.status_code == 507
    assert "delete runs, evaluations or uploads that nobody needs" in refused.json()["detail"]
    (listed,) = ada.get("/v1/storage").json()["runs"]  # as the refusal says
    assert (listed["kind"], path) == ("comparison", f"/v1/evaluations/{listed['run_id']}")
    assert listed["artifacts"] > 1000
    assert client_of(service, "cyd").delete(path).status_code == 403
    assert ada.delete(path).status_code == 409
    ada.post(f"{path}/cancel")
    for file in service.settings.artifacts.rglob("*/*"):
        os.utime(file, (1.0, 1.0))
    assert ada.delete(path).status_code == 204
    assert ada.get(path).status_code == 404
    assert list(service.settings.artifacts.rglob("*/*")) == []
    assert ada.post("/v1/evaluations", files=files).status_code == 202


def test_a_user_beyond_its_quota_is_refused_what_would_store_more_and_nobody_else_is(
    engine: Engine, tmp_path: Path
) -> None:
    service = make_shared(engine, tmp_path, QUOTAS)
    run_id = record(service, 1).id
    give(service, run_id, ADA)
    queued = submit(service, "ada")
    save_checkpoint(service, run_id, 1000)
    service = make_shared(engine, tmp_path, QUOTAS)  # the gauge looks anew
    ada = client_of(service, "ada")
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/runs", {"json": RUN}),
        ("/v1/batches", {"json": {"runs": [RUN]}}),
        ("/v1/uploads", {"files": {"file": ("a.npy", b"")}}),
        ("/v1/evaluations", {"files": {"real": REAL, "fake": FAKE}}),
        (f"/v1/runs/{run_id}/extend", {"json": {"epochs": 1}}),
        (f"/v1/runs/{run_id}/treatments", {}),
    ]
    for path, request in requests:
        answer = ada.post(path, **request)
        assert (path, answer.status_code) == (path, 507)
        assert answer.json()["type"] == "urn:ganclinic:problem:storage-quota-exceeded"
        words = f"The user 'ada' stores {PICTURES + 1000:,} bytes, and may store 1,000;"
        assert answer.json()["detail"].startswith(words)
    assert client_of(service, "bob").post("/v1/runs", json=RUN).status_code == 202
    assert service.client.post(f"/v1/runs/{run_id}/extend", json={"epochs": 1}).status_code == 507  # it is ada's
    waiting = service.client.get(f"/v1/runs/{queued}/waiting").json()
    assert "quota" not in [reason["kind"] for reason in waiting["reasons"]]  # it goes on
    assert [(limit["scope"], limit["limit"], limit["used"]) for limit in waiting["limits"]] == [
        ("user", "storage_bytes", PICTURES + 1000),
        ("team", "storage_bytes", PICTURES + 1000),
    ]


def test_a_watched_run_goes_on_without_samples_where_its_owner_may_store_no_more(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    service = make_shared(sqlite_engine, tmp_path, QUOTAS)
    path = f"/v1/watched-runs/{client_of(service, 'ada').post('/v1/watched-runs', json={}).json()['id']}"
    full = record(service, 1).id
    give(service, full, ADA)
    save_checkpoint(service, full, 1000)
    ada = client_of(make_shared(sqlite_engine, tmp_path, QUOTAS), "ada")  # the gauge looks anew
    block: dict[str, Any] = {"content": encode(["g_loss"], [[1.0]]), "headers": {"Content-Type": MEDIA_TYPE}}
    assert ada.put(f"{path}/steps/1", **block).status_code == 200
    assert ada.put(f"{path}/epochs/2", files={"fakes": POINTS}).status_code == 507
    assert ada.put(f"{path}/epochs/2").json()["epochs_sent"] == 1


def test_a_team_is_limited_together(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, "[quotas.teams.vision]\nstorage_bytes = 2000\n")
    for owner, size in ((ADA, 1500), (CYD, 9000)):
        run_id = record(service, 1).id
        give(service, run_id, owner)
        save_checkpoint(service, run_id, size)
    bob = client_of(service, "bob")
    assert bob.post("/v1/runs", json=RUN).status_code == 202
    run_id = record(service, 1).id
    give(service, run_id, ADA)
    save_checkpoint(service, run_id, 500)
    service = make_shared(engine, tmp_path, "[quotas.teams.vision]\nstorage_bytes = 2000\n")
    refused = client_of(service, "bob").post("/v1/runs", json=RUN)
    assert refused.status_code == 507
    assert refused.json()["detail"].startswith("The team 'vision' stores ")
    assert client_of(service, "cyd").post("/v1/runs", json=RUN).status_code == 202


def test_looking_at_storage_lists_what_is_stored_once_in_a_while(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of a bucket costs a request for every 1,000 files."""
    service = make_shared(sqlite_engine, tmp_path, QUOTAS)
    record(service, 1)
    listed: list[str] = []
    for name in ("measure_usage", "list_stored"):
        really = getattr(usage, name)
        monkeypatch.setattr(usage, name, lambda settings, n=name, f=really: [listed.append(n), f(settings)][1])
    first, second = (service.client.get("/v1/storage").json() for _ in range(2))
    assert first == second
    assert len(first["runs"]) == 1
    assert sorted(listed) == ["list_stored", "measure_usage"]


@pytest.mark.parametrize("measure", ["measure_usage", "list_stored"])
def test_of_requests_at_once_one_measures_and_holds_no_transaction_meanwhile(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measure: str
) -> None:
    service = make_shared(sqlite_engine, tmp_path, QUOTAS)
    gauge = StorageGauge(service.settings.model_copy(update={"storage_quota_bytes": 1000}), sqlite_engine)
    really, calls, askers = getattr(usage, measure), list[int](), 4
    barrier = Barrier(askers)

    def slowly(settings: Settings) -> Any:
        calls.append(sqlite_engine.pool.checkedout())  # type: ignore[attr-defined]
        time.sleep(0.2)
        return really(settings)

    def ask(_: int) -> None:
        barrier.wait()
        gauge.require_room() if measure == "measure_usage" else gauge.require_room_of(ADA, SHARING)

    monkeypatch.setattr(usage, measure, slowly)
    with ThreadPoolExecutor(askers) as pool:
        list(pool.map(ask, range(askers)))
    assert calls == [0]


class Slow:
    """A measurement that takes until the test says so."""

    def __init__(self, really: Callable[[Settings], Any]) -> None:
        self._really = really
        self.begun, self.go_on = Event(), Event()

    def __call__(self, settings: Settings) -> Any:
        found = self._really(settings)
        self.begun.set()
        assert self.go_on.wait(30)
        return found


MEASURES = [
    ("measure_usage", lambda gauge: gauge.require_room()),
    ("list_stored", lambda gauge: gauge.require_room_of(ADA, SHARING)),
]
Require = Callable[[StorageGauge], None]


@pytest.mark.parametrize(("measure", "require"), MEASURES, ids=["service", "owner"])
def test_a_submission_below_the_quota_waits_for_no_measurement_but_the_first(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measure: str, require: Require
) -> None:
    service = make_shared(sqlite_engine, tmp_path, QUOTAS)
    gauge = StorageGauge(service.settings.model_copy(update={"storage_quota_bytes": 1000}), sqlite_engine)
    require(gauge)
    slow = Slow(getattr(usage, measure))
    gauge.forget()
    monkeypatch.setattr(usage, measure, slow)
    require(gauge)
    assert slow.begun.wait(30)  # beside it
    require(gauge)
    slow.go_on.set()


@pytest.mark.parametrize("require", [require for _, require in MEASURES], ids=["service", "owner"])
def test_who_would_be_refused_waits_for_what_is_stored_now(
    sqlite_engine: Engine, tmp_path: Path, require: Require
) -> None:
    service = make_shared(sqlite_engine, tmp_path, QUOTAS)
    gauge = StorageGauge(service.settings.model_copy(update={"storage_quota_bytes": 1000}), sqlite_engine)
    run_id = record(service, 1).id
    give(service, run_id, ADA)
    save_checkpoint(service, run_id, 2000)
    with pytest.raises((StorageFull, StorageQuotaExceeded)):
        require(gauge)
    checkpoint_files(service.settings).delete(f"{run_id}/attempt-1-epoch-1.safetensors")
    with pytest.raises((StorageFull, StorageQuotaExceeded)):
        require(gauge)
    gauge.forget()
    require(gauge)


@pytest.mark.parametrize(("measure", "require"), MEASURES, ids=["service", "owner"])
def test_what_is_deleted_while_it_is_measured_makes_nobody_wait_and_is_measured_again(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measure: str, require: Require
) -> None:
    service = make_shared(sqlite_engine, tmp_path, QUOTAS)
    gauge = StorageGauge(service.settings.model_copy(update={"storage_quota_bytes": 1000}), sqlite_engine)
    run_id = record(service, 1).id
    give(service, run_id, ADA)
    save_checkpoint(service, run_id, 2000)
    really = getattr(usage, measure)
    slow = Slow(really)
    monkeypatch.setattr(usage, measure, slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(require, gauge)
        assert slow.begun.wait(30)
        monkeypatch.setattr(usage, measure, really)
        checkpoint_files(service.settings).delete(f"{run_id}/attempt-1-epoch-1.safetensors")
        gauge.forget()  # in the thread that the other waits for
        slow.go_on.set()
        with pytest.raises((StorageFull, StorageQuotaExceeded)):
            first.result()  # it had listed the checkpoint
    require(gauge)


@pytest.mark.parametrize("value", ["-1", '"much"'])
def test_a_quota_that_is_no_number_is_refused(sqlite_engine: Engine, tmp_path: Path, value: str) -> None:
    with pytest.raises(ValueError, match=r"quotas\.users\.ada\.storage_bytes"):
        make_shared(sqlite_engine, tmp_path, f"[quotas.users.ada]\nstorage_bytes = {value}\n")
