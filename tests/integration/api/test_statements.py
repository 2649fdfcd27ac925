"""How many SQL statements a request makes: few, and no more of them with more rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from ganlib.wire.webhooks import WebhookRequest
from store import uploads, webhooks
from store.core.db import transaction
from store.core.models import Artifact, Attempt, Run
from store.files.artifacts import Artifacts
from store.files.backends import open_artifacts, uploaded_files
from store.runs import batches, logs
from store.runs.lifecycle import create
from store.scheduling import workers
from store.scheduling.owners import NOBODY_ELSE, Owner
from tests.support.api import PICTURE, Service, make_service, record, record_comparison
from tests.support.comparison import create_comparison
from tests.support.store import request, resolved
from tests.support.treatment import make_run, treat
from tests.support.uploads import create_upload

ENDLESS = ("/v1/events", "/v1/runs/{run_id}/events", "/v1/batches/{batch_id}/events")
"""Streams: what their looks cost is shared by all who listen."""
QUERIES = {"/v1/glances": "?run={run_id}", "/v1/compare": "?runs={run_id}"}
MOST = {
    "/metrics": 8,
    "/v1/batches/{batch_id}": 2,
    "/v1/batches/{batch_id}/results": 4,
    "/v1/caller": 0,
    "/v1/compare": 7,
    "/v1/datasets": 0,
    "/v1/evaluations": 1,
    "/v1/evaluations/{evaluation_id}": 2,
    "/v1/evaluations/{evaluation_id}/figures/ndb.{format}": 3,
    "/v1/glances": 4,
    "/v1/health": 2,
    "/v1/health/live": 0,
    "/v1/health/ready": 1,
    "/v1/labels": 1,
    "/v1/labels/export": 1,
    "/v1/openapi.json": 0,
    "/v1/presets": 0,
    "/v1/presets/{name}": 0,
    "/v1/runs": 1,
    "/v1/runs/{run_id}": 2,
    "/v1/runs/{run_id}/diagnosis": 3,
    "/v1/runs/{run_id}/diagnosis/history": 2,
    "/v1/runs/{run_id}/evaluations": 2,
    "/v1/runs/{run_id}/family": 3,
    "/v1/runs/{run_id}/figures/losses.{format}": 2,
    "/v1/runs/{run_id}/figures/ndb.{format}": 3,
    "/v1/runs/{run_id}/labels": 2,
    "/v1/runs/{run_id}/log": 3,
    "/v1/runs/{run_id}/log/stream": 5,
    "/v1/runs/{run_id}/losses.csv": 2,
    "/v1/runs/{run_id}/ndb": 2,
    "/v1/runs/{run_id}/ndb/bins.png": 3,
    "/v1/runs/{run_id}/reals": 2,
    "/v1/runs/{run_id}/samples": 2,
    "/v1/runs/{run_id}/samples.zip": 2,
    "/v1/runs/{run_id}/samples/{epoch}": 2,
    "/v1/runs/{run_id}/series": 2,
    "/v1/runs/{run_id}/treatments": 2,
    "/v1/runs/{run_id}/waiting": 24,
    "/v1/schemas/run-spec": 0,
    "/v1/shares": 10,
    "/v1/storage": 7,
    "/v1/treatments/{treatment_id}": 2,
    "/v1/uploads": 1,
    "/v1/uploads/{upload_id}": 1,
    "/v1/webhooks": 1,
    "/v1/watched-runs/{watched_run_id}": 2,
    "/v1/workers": 5,
}
"""Statements of each route that reads, at most. `/log/stream` is that of an attempt that has ended."""


@pytest.mark.parametrize("number", [2, 12])
def test_no_route_makes_more_statements_with_more_rows(sqlite_engine: Engine, tmp_path: Path, number: int) -> None:
    service = make_service(sqlite_engine, tmp_path)
    ids = fill(service, number)
    made: dict[str, int] = {}
    for path in routes(service):
        run_id = ids["queued_id"] if path.endswith("/waiting") else ids["run_id"]
        url = (path + QUERIES.get(path, "")).format(
            **ids | {"run_id": run_id}, epoch=1, format="svg", name="ring8-stable"
        )
        with counted(sqlite_engine) as statements:
            answer = service.client.get(url)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        made[path] = len(statements)
    assert made.keys() == MOST.keys(), "a route has come or gone"
    assert {path: count for path, count in made.items() if count > MOST[path]} == {}


def routes(service: Service) -> list[str]:
    paths: dict[str, Any] = service.app.openapi()["paths"]
    return [path for path, methods in paths.items() if "get" in methods and path not in ENDLESS] + ["/metrics"]


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """The statements of the block that read or write rows."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA", "SET", "SHOW")):
            found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def fill(service: Service, number: int) -> dict[str, str]:
    """So many of everything that can be listed; ids of one of each."""
    comparison_id = record_comparison(service)
    run = record(service, number)
    artifacts = Artifacts(uploaded_files(service.settings))
    reals = open_artifacts(service.settings).put(PICTURE % 0, "image/png")
    with transaction(service.engine) as session:
        shown = {"sha256": reals.sha256, "media_type": reals.media_type, "size": reals.size}
        session.add(Artifact(run_id=run.id, kind="reals", epoch=1, **shown))
        logs.append(session, run.id, 1, 0, b"begins\n")
        for index in range(1, number):
            logs.append(session, run.id, 1, 7 * index, b"a line\n")
            session.add(
                Attempt(
                    run_id=run.id, number=1 + index, token=9, worker="w", started_at=1.0, ended_at=2.0, outcome="lost"
                )
            )
        sick = make_run(session, "mode collapse")
        treatment_id = treat(session, sick).id
        batch = batches.create_batch(session, resolved(*[request(f"run {index}") for index in range(number)]))
        session.flush()
        for index in range(number):
            create_upload(session, artifacts, seed=index)
            webhooks.create(session, WebhookRequest(url=f"https://hooks.test/{index}"), owner=NOBODY_ELSE)
            create_comparison(session, reals=f"{index:064x}")
            workers.begin(session, f"worker-{index}")
            wanted = request("other")
            owner = Owner(user=f"user-{index}", team=None)
            made = create(session, wanted, wanted.resolve(), owner=owner)
            session.flush()
            session.execute(update(Run).where(Run.id == made.id).values(parent_id=sick, treatment_id=treatment_id))
        queued_id = batch.runs[-1].id
        upload_id = uploads.list_uploads(session)[0].id
    for index in range(number):
        answer = service.client.post(
            f"{run.path}/labels", json={"finding": "mode collapse", "holds": False, "author": f"a{index}"}
        )
        assert answer.status_code == 201
    watched_run = service.client.post("/v1/watched-runs", json={}).json()
    return {
        "run_id": run.id,
        "watched_run_id": watched_run["id"],
        "batch_id": batch.id,
        "treatment_id": treatment_id,
        "evaluation_id": comparison_id,
        "upload_id": upload_id,
        "queued_id": queued_id,
    }
