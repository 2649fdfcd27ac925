"""Several users over HTTP: whose runs are whose, who may change them, quotas, pauses, drains, and why runs wait."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from store import leases, workers
from store.accounts import InvalidTokensFile, hash_token
from store.db import transaction
from tests.integration.test_api_comparisons import FAKE, REAL
from tests.support.api import Service, make_service
from tests.support.store import LEASE, SPEC, claim_run
from tests.support.treatment import make_run

TOKENS = {"ada": "ada's own", "bob": "bob's own", "cyd": "cyd's own"}
FILE = "".join(
    f'[[users]]\nname = "{name}"\ntoken_sha256 = "{hash_token(token.encode())}"\n'
    + ('team = "vision"\n' if name != "cyd" else "")
    for name, token in TOKENS.items()
)
QUOTAS = "[quotas.default]\nqueued = 3\n[quotas.users.ada]\nrunning = 1\n"
RUN = {"spec": SPEC}
SAMPLES = {"real": REAL, "fake": FAKE}


def make_shared(engine: Engine, home: Path, extra: str = "") -> Service:
    file = home / "tokens.toml"
    file.write_text(FILE + extra)
    file.chmod(0o600)
    return make_service(engine, home, tokens_file=file)


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
        workers.begin(session, "worker-1")
    submit(shared, "ada")
    ada = client_of(shared, "ada")
    for path in ("/v1/drain", "/v1/workers/worker-1/drain"):
        assert ada.post(path).status_code == ada.delete(path).status_code == 403
    assert shared.client.post("/v1/workers/worker-9/drain").status_code == 404
    assert shared.client.post("/v1/workers/worker-1/drain").status_code == 202
    (worker,) = ada.get("/v1/workers").json()["items"]
    assert worker.items() >= {"name": "worker-1", "is_alive": True, "is_drained": True, "run_id": None}.items()
    with transaction(shared.engine) as session:
        assert leases.claim(session, "worker-1", LEASE) is None
    shared.client.delete("/v1/workers/worker-1/drain")
    with transaction(shared.engine) as session:
        assert leases.claim(session, "worker-1", LEASE) is not None


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
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    assert "quotas.default.running: Input should be a valid integer" in process.stderr
    assert "Traceback" not in process.stderr
