"""Priorities over HTTP: who may give which, and what they do to the queue."""

from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import Engine

from store.core.db import transaction
from store.core.errors import PriorityNotAllowed
from store.runs import claims
from store.runs.lifecycle import get
from store.scheduling.accounts import EQUAL, Caller, Quota, Sharing, hash_token
from store.scheduling.owners import Owner
from store.scheduling.quotas import require_priorities
from tests.integration.api.test_sharing import RUN, client_of, make_shared
from tests.support.api import Service
from tests.support.sharing import ADA, CYD
from tests.support.store import LEASE
from tests.support.treatment import make_run

ADA_10 = "[quotas.users.ada]\nmax_priority = 10\n"
VISION_5 = "[quotas.teams.vision]\nmax_priority = 5\n"
NOT_ALLOWED = (403, "urn:ganclinic:problem:priority-not-allowed")


def post(service: Service, user: str, priority: int, **headers: str) -> Response:
    return client_of(service, user).post("/v1/runs", json={**RUN, "priority": priority}, headers=headers)


def outcome(answer: Response) -> tuple[int, Any]:
    return answer.status_code, answer.json().get("type")


def test_a_run_of_higher_priority_is_claimed_first(service: Service) -> None:
    made = {
        priority: service.client.post("/v1/runs", json={**RUN, "priority": priority}).json()["id"]
        for priority in (-100, 0, 100, 5)
    }
    assert service.client.get(f"/v1/runs/{made[5]}").json()["priority"] == 5
    with transaction(service.engine) as session:
        taken = [claims.claim(session, "worker-1", LEASE) for _ in made]
        assert [get(session, claim.run_id).priority for claim in taken if claim is not None] == [100, 5, 0, -100]


@pytest.mark.parametrize("priority", [101, -101, 0.5, "high", None])
def test_a_priority_out_of_range_is_refused_with_its_field(service: Service, priority: Any) -> None:
    answer = service.client.post("/v1/batches", json={"runs": [RUN, {**RUN, "priority": priority}]})
    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["errors"]] == ["runs[1].priority"]
    assert service.count_runs() == 0


def test_without_a_quota_a_user_may_only_lower_the_priority(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path)
    for user in ("ada", "cyd"):
        assert [outcome(post(service, user, priority))[0] for priority in (-100, 0)] == [202, 202]
        assert outcome(post(service, user, 1)) == NOT_ALLOWED
    assert post(service, "cyd", 1).json()["detail"] == (
        "priority: the user 'cyd' may give 0 at most, not 1; give less, or let whoever keeps the tokens file raise "
        "max_priority in quotas.users.cyd."
    )
    assert service.count_runs() == 4


def test_the_smaller_one_of_user_and_team_counts(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, ADA_10 + VISION_5)
    assert outcome(post(service, "ada", 5))[0] == 202
    refused = post(service, "ada", 6)
    assert outcome(refused) == NOT_ALLOWED
    assert "the team 'vision' may give 5 at most, not 6" in refused.json()["detail"]
    refused = post(service, "bob", 1)
    assert outcome(refused) == NOT_ALLOWED
    assert "the user 'bob' may give 0 at most" in refused.json()["detail"]


def test_a_batch_is_refused_as_a_whole_and_names_its_run(engine: Engine, tmp_path: Path) -> None:
    service = make_shared(engine, tmp_path, "[quotas.default]\nmax_priority = 5\n")
    cyd = client_of(service, "cyd")
    runs = [RUN, {**RUN, "priority": 5}, {**RUN, "priority": 6}]
    refused = cyd.post("/v1/batches", json={"runs": runs})
    assert outcome(refused) == NOT_ALLOWED
    assert refused.json()["detail"].startswith("runs[2].priority: the user 'cyd' may give 5 at most, not 6; ")
    assert service.count_runs() == 0
    made = cyd.post("/v1/batches", json={"runs": runs[:2]})
    assert sorted(run["priority"] for run in made.json()["runs"]) == [0, 5]


def test_administrators_may_give_any_priority(engine: Engine, tmp_path: Path) -> None:
    token = "eve is root"
    eve = f'[[users]]\nname = "eve"\nadministrator = true\ntoken_sha256 = "{hash_token(token.encode())}"\n'
    service = make_shared(engine, tmp_path, eve)
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        answer = service.client.post("/v1/runs", json={**RUN, "priority": 100}, headers=headers)
        assert answer.json()["priority"] == 100


def test_what_was_made_before_the_quota_was_lowered_is_answered_again(engine: Engine, tmp_path: Path) -> None:
    quotas = "[quotas.default]\nmax_priority = {}\n"
    key = {"Idempotency-Key": "job-1"}
    first = post(make_shared(engine, tmp_path, quotas.format(5)), "cyd", 5, **key)
    lowered = make_shared(engine, tmp_path, quotas.format(1))
    again = post(lowered, "cyd", 5, **key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert outcome(post(lowered, "cyd", 5)) == NOT_ALLOWED
    assert post(lowered, "cyd", 1, **key).status_code == 409


def test_a_try_has_the_priority_of_the_run_that_it_descends_from(service: Service) -> None:
    with transaction(service.engine) as session:
        sick = make_run(session, "mode collapse")
        get(session, sick).priority = 7
    treatment = service.client.post(f"/v1/runs/{sick}/treatments").json()
    assert [run["priority"] for run in treatment["tries"]] == [7]


@pytest.mark.parametrize(
    ("owner", "sharing", "allowed"),
    [
        (CYD, EQUAL, 0),
        (CYD, Sharing(default_quota=Quota(max_priority=3)), 3),
        (CYD, Sharing(default_quota=Quota(max_priority=3), user_quotas={"cyd": Quota(running=1)}), 3),
        (CYD, Sharing(default_quota=Quota(max_priority=3), user_quotas={"cyd": Quota(max_priority=0)}), 0),
        (ADA, Sharing(user_quotas={"ada": Quota(max_priority=9)}), 0),
        (ADA, Sharing(team_quotas={"vision": Quota(max_priority=9)}), 0),
        (ADA, Sharing(default_quota=Quota(max_priority=100), team_quotas={"vision": Quota(max_priority=9)}), 9),
    ],
)
def test_how_high_a_user_may_go(owner: Owner, sharing: Sharing, allowed: int) -> None:
    caller = Caller(owner=owner, administrator=False)
    require_priorities(caller, sharing, {"priority": allowed, "runs[1].priority": -100})
    with pytest.raises(PriorityNotAllowed, match=r"^priority: ") as caught:
        require_priorities(caller, sharing, {"priority": allowed + 1})
    assert caught.value.allowed == allowed
