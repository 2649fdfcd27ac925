"""Several users over HTTP: whose runs are whose, who may change them, quotas, pauses, drains, and why runs wait."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from store.core.db import transaction
from store.runs import claims, endings, extensions, pauses
from store.scheduling import workers
from store.scheduling.accounts import InvalidTokensFile, hash_token
from store.scheduling.owners import Owner
from tests.integration.api.test_comparisons import FAKE, REAL
from tests.support.api import TOKEN, Service, make_service
from tests.support.sharing import ADA
from tests.support.sharing import submit as queue
from tests.support.store import LEASE, SPEC, claim_run
from tests.support.treatment import make_run, record, take

TOKENS = {"ada": "ada's own", "bob": "bob's own", "cyd": "cyd's own"}
FILE = "".join(
    f'[[users]]\nname = "{name}"\ntoken_sha256 = "{hash_token(token.encode())}"\n'
    + ('team = "vision"\n' if name != "cyd" else "")
    for name, token in TOKENS.items()
)
QUOTAS = "[quotas.default]\nqueued = 3\n[quotas.users.ada]\nrunning = 1\n"
RUN = {"spec": SPEC}
SAMPLES = {"real": REAL, "fake": FAKE}


def make_shared(engine: Engine, home: Path, extra: str = "", **changes: Any) -> Service:
    file = home / "tokens.toml"
    file.write_text(FILE + extra)
    file.chmod(0o600)
    return make_service(engine, home, tokens_file=file, **changes)


@pytest.fixture
def shared(engine: Engine, tmp_path: Path) -> Service:
    return make_shared(engine, tmp_path)


def client_of(service: Service, user: str) -> TestClient:
    headers = {"Authorization": f"Bearer {TOKENS[user]}"}
    return TestClient(service.app, headers=headers, raise_server_exceptions=False)


def submit(service: Service, user: str) -> str:
    answer = client_of(service, user).post("/v1/runs", json=RUN)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def statuses_of(service: Service, user: str, run_id: str, *verbs: str) -> list[int]:
    client = client_of(service, user)
    return [client.post(f"/v1/runs/{run_id}/{verb}").status_code for verb in verbs]


def test_runs_belong_to_whoever_has_the_token(shared: Service) -> None:
    client_of(shared, "ada").post("/v1/runs", json=RUN)
    client_of(shared, "cyd").post("/v1/batches", json={"runs": [RUN, RUN]})
    shared.client.post("/v1/runs", json=RUN)
    listed = shared.client.get("/v1/runs").json()["items"]
    assert [(run["user"], run["team"]) for run in listed] == [
        ("default", None),
        ("cyd", None),
        ("cyd", None),
        ("ada", "vision"),
    ]
    assert [run["user"] for run in shared.client.get("/v1/runs?user=ada").json()["items"]] == ["ada"]


@pytest.mark.parametrize("body", [{"user": "bob"}, {"team": "audio"}, {"owner": "vision/bob"}])
def test_nobody_can_claim_to_be_somebody_else(shared: Service, body: dict[str, str]) -> None:
    answer = client_of(shared, "ada").post("/v1/runs", json={**RUN, **body})
    assert answer.status_code == 422
    headers = {"X-User": "bob", "X-Forwarded-User": "bob"}
    assert client_of(shared, "ada").post("/v1/runs", json=RUN, headers=headers).json()["user"] == "ada"


def test_a_token_that_nobody_has_opens_nothing(shared: Service) -> None:
    client = TestClient(shared.app, headers={"Authorization": f"Bearer {hash_token(TOKENS['ada'].encode())}"})
    assert client.get("/v1/runs").status_code == 401


def test_own_runs_and_those_of_the_team_may_be_changed_and_no_others(shared: Service) -> None:
    for user in ("ada", "bob"):
        assert statuses_of(shared, user, submit(shared, "ada"), "pause", "resume", "cancel") == [202] * 3
    run_id = submit(shared, "ada")
    assert statuses_of(shared, "cyd", run_id, "pause", "resume", "cancel", "treatments") == [403] * 4
    problem = client_of(shared, "cyd").post(f"/v1/runs/{run_id}/cancel").json()
    assert problem["type"] == "urn:ganclinic:problem:not-yours"
    assert problem["detail"] == (
        "The run belongs to the user 'ada' of the team 'vision'; only they may change it, or somebody of that team, or "
        "an administrator."
    )
    assert client_of(shared, "cyd").get(f"/v1/runs/{run_id}").json()["status"] == "queued"
    assert shared.client.post(f"/v1/runs/{run_id}/cancel").json()["status"] == "cancelled"


def test_only_who_may_change_a_run_may_extend_or_delete_it(shared: Service) -> None:
    run_id = submit(shared, "ada")
    with transaction(shared.engine) as session:
        finish_claimed(session, run_id)
    cyd, bob = client_of(shared, "cyd"), client_of(shared, "bob")
    for refused in (cyd.post(f"/v1/runs/{run_id}/extend", json={"epochs": 1}), cyd.delete(f"/v1/runs/{run_id}")):
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:ganclinic:problem:not-yours")
    assert bob.post(f"/v1/runs/{run_id}/extend", json={"epochs": 1}).json()["status"] == "queued"
    assert bob.post(f"/v1/runs/{run_id}/cancel").json()["status"] == "cancelled"
    assert bob.delete(f"/v1/runs/{run_id}").status_code == 204


def test_a_quotas_device_hours_are_not_had_back_by_deleting_runs(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, "[quotas.users.ada]\ndevice_hours = 8\n")
    run_id = submit(service, "ada")
    with transaction(engine) as session:
        finish_claimed(session, run_id)
    refused = client_of(service, "ada").delete(f"/v1/runs/{run_id}")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:ganclinic:problem:run-in-use")
    assert "device_hours of the user 'ada'" in refused.json()["detail"]
    assert service.client.delete(f"/v1/runs/{run_id}").status_code == 204  # an administrator's


def finish_claimed(session: Session, run_id: str) -> None:
    """Brings the run, the only one that is queued, to its end."""
    claimed = take(session, run_id)
    record(session, claimed, "mode collapse")
    endings.finish(session, run_id, claimed.token, "succeeded")


@pytest.mark.parametrize(("path", "body"), [("/v1/runs", RUN), ("/v1/batches", {"runs": [RUN, RUN]})])
def test_the_same_key_of_two_users_makes_two_things(shared: Service, path: str, body: dict[str, Any]) -> None:
    def post(client: TestClient) -> str:
        answer = client.post(path, json=body, headers={"Idempotency-Key": "job-1"})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    clients = [client_of(shared, "ada"), client_of(shared, "bob"), shared.client]
    made = [post(client) for client in clients]
    assert len(set(made)) == len(clients)
    assert [post(client) for client in clients] == made


def test_keys_of_two_users_are_two_also_for_evaluations_and_labels(shared: Service) -> None:
    with transaction(shared.engine) as session:
        run_id = make_run(session)
    label = {"finding": "healthy", "holds": True, "author": "ann"}
    key = {"Idempotency-Key": "job-1"}
    clients = [client_of(shared, "ada"), client_of(shared, "cyd")] * 2
    ada, cyd, *again = [client.post("/v1/evaluations", files=SAMPLES, headers=key).json()["id"] for client in clients]
    assert ada != cyd
    assert again == [ada, cyd]
    path = f"/v1/runs/{run_id}/labels"
    ada, cyd, *again = [client.post(path, json=label, headers=key).json()["id"] for client in clients]
    assert ada != cyd
    assert again == [ada, cyd]


def test_a_conflict_names_the_key_as_it_was_sent(shared: Service) -> None:
    ada, key = client_of(shared, "ada"), {"Idempotency-Key": "job: 1"}
    ada.post("/v1/runs", json=RUN, headers=key)
    refused = ada.post("/v1/runs", json={**RUN, "name": "other"}, headers=key)
    assert refused.status_code == 409
    assert refused.json()["detail"] == "The idempotency key 'job: 1' was used for another request."


def test_metrics_are_for_administrators_and_for_whoever_has_their_token(engine: Engine, tmp_path: Path) -> None:
    eve = f'[[users]]\nname = "eve"\nadministrator = true\ntoken_sha256 = "{hash_token(b"eve is root")}"\n'
    service = make_shared(engine, tmp_path, eve, metrics_token=SecretStr("only-for-numbers"))
    statuses = {user: client_of(service, user).get("/metrics").status_code for user in TOKENS}
    assert statuses == {"ada": 403, "bob": 403, "cyd": 403}
    refused = client_of(service, "ada").get("/metrics").json()
    assert refused["detail"] == "Only administrators may read the metrics, and whoever has GANCLINIC_METRICS_TOKEN."
    for token in (TOKEN, "eve is root", "only-for-numbers"):
        answer = service.anonymous.get("/metrics", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
    assert service.anonymous.get("/metrics").status_code == 401


def test_comparisons_belong_to_somebody_too(shared: Service) -> None:
    made = client_of(shared, "ada").post("/v1/evaluations", files=SAMPLES).json()["id"]
    assert client_of(shared, "cyd").post(f"/v1/evaluations/{made}/cancel").status_code == 403
    assert client_of(shared, "bob").post(f"/v1/evaluations/{made}/cancel").json()["status"] == "cancelled"


def test_the_tries_of_a_treatment_belong_to_the_owner_of_the_sick_run(shared: Service) -> None:
    with transaction(shared.engine) as session:
        sick = make_run(session, "mode collapse")
    assert client_of(shared, "ada").post(f"/v1/runs/{sick}/treatments").status_code == 403
    treatment = shared.client.post(f"/v1/runs/{sick}/treatments").json()
    assert treatment["tries"][0]["user"] == "default"
    assert client_of(shared, "ada").post(f"/v1/treatments/{treatment['id']}/cancel").status_code == 403


def test_more_queued_runs_than_allowed_are_refused_and_not_stored(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, QUOTAS)
    ada = client_of(service, "ada")
    assert ada.post("/v1/batches", json={"runs": [RUN, RUN]}).status_code == 202
    refused = ada.post("/v1/batches", json={"runs": [RUN, RUN]})
    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:ganclinic:problem:quota-exceeded"
    assert refused.json()["detail"] == (
        "The user 'ada' would have 4 runs queued, and may have 3; wait until some have started, or cancel some."
    )
    assert service.count_runs() == 2
    assert ada.post("/v1/runs", json=RUN, headers={"Idempotency-Key": "k"}).status_code == 202
    assert ada.post("/v1/runs", json=RUN).status_code == 429
    assert ada.post("/v1/evaluations", files=SAMPLES).status_code == 429
    assert ada.post("/v1/runs", json=RUN, headers={"Idempotency-Key": "k"}).status_code == 202  # made before
    assert client_of(service, "bob").post("/v1/runs", json=RUN).status_code == 202
    assert service.count_runs() == 4


def overfill(service: Service, owner: Owner = ADA) -> None:
    """More runs of the owner are queued than it may have, as runs that were lost come back."""
    with transaction(service.engine) as session:
        queue(session, owner, 4)


def test_a_request_that_is_sent_again_is_no_submission(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, QUOTAS)
    with transaction(engine) as session:
        (sick,) = queue(session, ADA)
        finish_claimed(session, sick)
        (extended,) = queue(session, ADA)
        finish_claimed(session, extended)
    ada = client_of(service, "ada")
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v1/runs", {"json": RUN}),
        ("/v1/batches", {"json": {"runs": [RUN]}}),
        ("/v1/evaluations", {"files": SAMPLES}),
        (f"/v1/runs/{extended}/extend", {"json": {"epochs": 1}}),
        (f"/v1/runs/{sick}/treatments", {}),
    ]
    ids: list[str] = []
    for path, body in requests:
        answer = ada.post(path, **body, headers={"Idempotency-Key": path})
        assert (path, answer.status_code) == (path, 202)
        ids.append(answer.json()["id"])
        with transaction(engine) as session:
            claim_run(session)
    overfill(service)
    for (path, body), made in zip(requests, ids, strict=True):
        assert ada.post(path, **body).status_code in (409, 429)
        answer = ada.post(path, **body, headers={"Idempotency-Key": path})
        assert (path, answer.status_code, answer.json().get("id")) == (path, 202, made)


def test_calling_off_a_pause_is_no_submission_and_going_on_is(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, QUOTAS)
    paused = submit(service, "ada")
    assert statuses_of(service, "ada", paused, "pause") == [202]
    running = submit(service, "ada")
    with transaction(engine) as session:
        assert claim_run(session).run_id == running
    overfill(service)
    assert statuses_of(service, "ada", running, "pause", "resume") == [202, 202]
    assert client_of(service, "ada").get(f"/v1/runs/{running}").json()["pause_requested"] is False
    assert statuses_of(service, "ada", paused, "resume") == [429]
    assert client_of(service, "ada").get(f"/v1/runs/{paused}").json()["status"] == "paused"


@pytest.mark.parametrize("verb", ["resume", "extend"])
def test_a_request_beside_the_same_one_is_no_submission(postgres_engine: Engine, tmp_path: Path, verb: str) -> None:
    service = make_shared(postgres_engine, tmp_path, QUOTAS)
    with transaction(postgres_engine) as session:
        (run_id,) = queue(session, ADA)
        if verb == "extend":
            finish_claimed(session, run_id)
        else:
            pauses.pause(session, run_id)
    body: dict[str, Any] = {"json": {"epochs": 1}, "headers": {"Idempotency-Key": "once"}} if verb == "extend" else {}
    with ThreadPoolExecutor(1) as pool:
        with transaction(postgres_engine) as session:
            if verb == "extend":
                extensions.extend(session, run_id, 1, idempotency_key=f"{ADA.id}\nonce")
            else:
                pauses.resume(session, run_id)
            queue(session, ADA, 3)  # beyond the quota, as runs that were lost come back
            answer = pool.submit(client_of(service, "ada").post, f"/v1/runs/{run_id}/{verb}", **body)
            while not is_somebody_waiting(postgres_engine):
                time.sleep(0.01)
        assert answer.result().status_code == 202


def is_somebody_waiting(engine: Engine) -> bool:
    """Whether a transaction waits for a lock."""
    with engine.connect() as connection:
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return connection.execute(waiting).scalar_one() > 0


@pytest.mark.parametrize(("verb", "body"), [("extend", {"epochs": 1}), ("treatments", None)])
def test_what_queues_a_run_of_ones_own_again_needs_room(
    engine: Engine, tmp_path: Path, verb: str, body: dict[str, int] | None
) -> None:
    service = make_shared(engine, tmp_path, QUOTAS)
    with transaction(engine) as session:
        (run_id,) = queue(session, ADA)
        finish_claimed(session, run_id)
        queue(session, ADA, 3)
    ada = client_of(service, "ada")
    refused = ada.post(f"/v1/runs/{run_id}/{verb}", json=body)
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:ganclinic:problem:quota-exceeded")
    assert (ada.get(f"/v1/runs/{run_id}").json()["status"], service.count_runs()) == ("succeeded", 4)


def limit_of_ada(limit: str, used: float, allowed: float, text: str) -> dict[str, Any]:
    told = {"scope": "user", "name": "ada", "limit": limit, "used": used, "allowed": allowed}
    return {**told, "text": f"the user 'ada' {text}"}


def test_a_run_says_why_it_waits(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, QUOTAS)
    submit(service, "ada")
    with transaction(engine) as session:
        workers.begin(session, "worker-1")
        claim_run(session)
    run_id = submit(service, "ada")
    waiting = client_of(service, "cyd").get(f"/v1/runs/{run_id}").json()["links"]["waiting"]
    found = client_of(service, "cyd").get(waiting).json()
    assert found == {
        "run_id": run_id,
        "status": "queued",
        "ahead": None,
        "reasons": [
            {
                "kind": "quota",
                "text": "the user 'ada' has 1 runs running of 1 allowed; it waits until there is room",
            }
        ],
        "starts_in_s": None,
        "takes_s": None,
        "compared_with": 0,
        "limits": [
            limit_of_ada("running", 1, 1, "has 1 runs running of 1 allowed"),
            limit_of_ada("queued", 1, 3, "has 1 runs queued of 3 allowed"),
        ],
    }
    assert service.client.get(f"/v1/runs/{'0' * 16}/waiting").status_code == 404


def test_a_paused_run_is_resumed_with_a_bell(service: Service) -> None:
    run_id = service.client.post("/v1/runs", json=RUN).json()["id"]
    assert service.client.post(f"/v1/runs/{run_id}/pause").json()["status"] == "paused"
    assert service.client.get("/v1/runs?status=paused").json()["items"][0]["id"] == run_id
    service.rung.clear()
    assert service.client.post(f"/v1/runs/{run_id}/resume").json()["status"] == "queued"
    assert service.rung == [1]
    service.client.post(f"/v1/runs/{run_id}/cancel")
    for verb in ("pause", "resume"):
        answer = service.client.post(f"/v1/runs/{run_id}/{verb}")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:ganclinic:problem:not-pausable")


def test_workers_are_listed_and_drained_by_administrators(shared: Service) -> None:
    with transaction(shared.engine) as session:
        workers.describe(session, "worker-1", labels=["h100"])
    submit(shared, "ada")
    ada = client_of(shared, "ada")
    for path in ("/v1/drain", "/v1/workers/worker-1/drain"):
        assert ada.post(path).status_code == ada.delete(path).status_code == 403
    assert shared.client.post("/v1/workers/worker-9/drain").status_code == 404
    assert shared.client.post("/v1/workers/worker-1/drain").status_code == 202
    (worker,) = ada.get("/v1/workers").json()["items"]
    assert worker.items() >= {"name": "worker-1", "is_alive": True, "is_drained": True, "run_id": None}.items()
    assert worker["labels"] == ["h100"]
    with transaction(shared.engine) as session:
        assert claims.claim(session, "worker-1", LEASE) is None
    shared.client.delete("/v1/workers/worker-1/drain")
    with transaction(shared.engine) as session:
        assert claims.claim(session, "worker-1", LEASE) is not None


def test_health_says_that_the_service_is_drained(service: Service) -> None:
    def is_drained() -> Any:
        return service.anonymous.get("/v1/health").json()["drained"]

    assert is_drained() is False
    assert service.client.post("/v1/drain").json() == {"drained": True}
    assert is_drained() is True
    assert service.client.delete("/v1/drain").json() == {"drained": False}
    assert is_drained() is False


def test_a_bad_tokens_file_is_an_error_at_the_start(sqlite_engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InvalidTokensFile, match=r"users\[3\]\.name: 'ada' is there twice"):
        make_shared(sqlite_engine, tmp_path, f'[[users]]\nname = "ada"\ntoken_sha256 = "{"0" * 64}"\n')


@pytest.mark.parametrize("server", ["api", "worker"])
def test_no_server_starts_with_a_bad_tokens_file(sqlite_engine: Engine, tmp_path: Path, server: str) -> None:
    (tmp_path / "tokens.toml").write_text("[quotas.default]\nrunning = 'many'\n")
    (tmp_path / "tokens.toml").chmod(0o600)
    environment = {
        "GANCLINIC_HOME": str(tmp_path),
        "GANCLINIC_DATABASE_URL": sqlite_engine.url.render_as_string(),
        "GANCLINIC_TOKENS_FILE": str(tmp_path / "tokens.toml"),
    }
    process = subprocess.run(
        [sys.executable, "-m", server],
        env=environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    assert "quotas.default.running: Input should be a valid integer" in process.stderr
    assert "Traceback" not in process.stderr


# --- shares ------------------------------------------------------------------------------------------------------


def test_shares_tell_who_used_how_much_and_whose_turn_is_next(shared: Service) -> None:
    first = submit(shared, "ada")
    with transaction(shared.engine) as session:
        run = claim_run(session)
        assert run.run_id == first
        session.execute(
            text("UPDATE attempts SET started_at = started_at - 10 * 86400 WHERE run_id = :id"), {"id": first}
        )
    submit(shared, "ada")
    submit(shared, "cyd")
    items = client_of(shared, "bob").get("/v1/shares").json()["items"]
    assert items[0]["user"] == "ada"
    told = {item["user"]: item for item in items}
    ada, cyd = told["ada"], told["cyd"]
    assert (ada["user"], ada["team"], ada["running"], ada["queued"], ada["turn"]) == ("ada", "vision", 1, 1, 2)
    assert (cyd["user"], cyd["team"], cyd["running"], cyd["queued"], cyd["turn"]) == ("cyd", None, 0, 1, 1)
    week = 7 * 24 * 3600
    assert week <= ada["week_device_seconds"] < week + 60  # of ten days only the last seven
    assert ada["device_seconds"] < 1.45 * 24 * 3600
    assert (cyd["week_device_seconds"], cyd["device_seconds"], cyd["weight"], cyd["team_weight"]) == (0, 0, 1, 1)
