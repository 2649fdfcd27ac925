"""Webhooks on both databases: what is told to whom, once, whatever fails and whoever sends."""

import base64
import hmac
import json
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, func, select, update

from api.notifications.notifier import Notifier
from api.notifications.posting import NotTaken
from store.core.db import reading, transaction
from store.core.models import Delivery
from store.runs import batches, deliveries, endings, lifecycle, recording
from store.runs.deletion import delete_run
from store.scheduling.accounts import hash_token
from store.webhooks import MOST_OF_AN_OWNER
from tests.support.api import Service, make_service
from tests.support.receiver import receiving
from tests.support.serving import wait_until
from tests.support.store import SPEC, claim_run, create_run, diagnosis, epoch_record, request, resolved

URL = "https://hooks.test/x"


class Receivers:
    """Take what is sent, or do not; and note it."""

    def __init__(self, service: Service) -> None:
        self.got: list[dict[str, Any]] = []
        self.error: str | None = None
        self._service = service

    def __call__(self, url: str, body: bytes, headers: dict[str, str], **_: Any) -> None:
        self.got.append({"url": url, "body": body.decode(), "id": headers["webhook-id"]})
        if self.error is not None:
            raise NotTaken(self.error)

    def notifier(self) -> Notifier:
        return Notifier(self._service.engine, self._service.settings, send=self)

    @property
    def ids(self) -> list[str]:
        return [each["id"] for each in self.got]


@pytest.fixture
def receivers(service: Service) -> Receivers:
    return Receivers(service)


def make(service: Service, **parts: Any) -> dict[str, Any]:
    answer = service.client.post("/v1/webhooks", json={"url": URL, **parts})
    assert answer.status_code == 201, answer.text
    return answer.json()


def listed(service: Service) -> list[dict[str, Any]]:
    return service.client.get("/v1/webhooks").json()["items"]


def train(service: Service) -> str:
    """The id of a run that has succeeded, with a collapse after its second epoch."""
    with transaction(service.engine) as session:
        claim = claim_run(session)
    for epoch in (1, 2):
        found = diagnosis(epoch, **({"collapse_since": 2} if epoch > 1 else {}))
        with transaction(service.engine) as session:
            recording.record_epoch(session, epoch_record(claim, epoch, diagnosis=found))
    with transaction(service.engine) as session:
        endings.finish(session, claim.run_id, claim.token, "succeeded")
    return claim.run_id


def come_due(engine: Engine) -> None:
    with transaction(engine) as session:
        session.execute(update(Delivery).values(due_at=0.0))


def waits(engine: Engine) -> list[float]:
    """Seconds until what is pending is due."""
    with reading(engine) as session:
        now = session.scalars(select(deliveries.now())).one()
        return [due_at - now for due_at in session.scalars(select(Delivery.due_at).order_by(Delivery.due_at))]


def test_the_owner_is_told_of_findings_and_the_end(service: Service, receivers: Receivers) -> None:
    made = make(service)
    assert made["secret"].startswith("whsec_")
    run_id = train(service)
    assert listed(service)[0]["pending"] == 2
    assert receivers.notifier().send_due() == 2
    assert [('"finding seen"' in each["body"], run_id in each["body"]) for each in receivers.got] == [
        (True, True),
        (False, True),
    ]
    (webhook,) = listed(service)
    assert (webhook["pending"], webhook["error"]) == (0, None)
    assert webhook["delivered_at"] is not None
    assert "secret" not in webhook
    assert receivers.notifier().send_due() == 0


def test_what_is_not_wanted_is_not_told(service: Service, receivers: Receivers) -> None:
    make(service, kinds=["status"], statuses=["queued"], format="slack")
    train(service)
    receivers.notifier().send_due()
    assert len(receivers.got) == 1
    assert '"text": "Run ' in receivers.got[0]["body"]


def test_a_batch_is_told_of_whoever_made_its_runs_and_no_other(service: Service, receivers: Receivers) -> None:
    with transaction(service.engine) as session:
        batch = batches.create_batch(session, resolved(request(seed=1), request(seed=2)))
        ids = [run.id for run in batch.runs]
        other = create_run(session).id
    make(service, batch_id=batch.id)
    with transaction(service.engine) as session:
        for run_id in (*ids, other):
            lifecycle.cancel(session, run_id)
    receivers.notifier().send_due()
    assert sorted(run_id for run_id in ids for each in receivers.got if run_id in each["body"]) == sorted(ids)
    assert len(receivers.got) == 2


def test_users_are_told_of_their_own_runs(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(
        "".join(
            f'[[users]]\nname = "{name}"\ntoken_sha256 = "{hash_token(f"a token of {name}".encode())}"\n'
            for name in ("ada", "bob")
        )
    )
    file.chmod(0o600)
    service = make_service(engine, tmp_path, tokens_file=file)
    ada, bob = (
        TestClient(service.app, headers={"Authorization": f"Bearer a token of {name}"}) for name in ("ada", "bob")
    )
    made = ada.post("/v1/webhooks", json={"url": URL}).json()
    for client in (ada, bob):
        run = client.post("/v1/runs", json={"spec": SPEC}).json()
        client.post(f"/v1/runs/{run['id']}/cancel")
    receivers = Receivers(service)
    assert receivers.notifier().send_due() == 1
    assert bob.get("/v1/webhooks").json()["items"] == []
    assert bob.delete(f"/v1/webhooks/{made['id']}").status_code == 403
    assert service.client.get("/v1/webhooks").json()["items"][0]["user"] == "ada"
    assert ada.delete(f"/v1/webhooks/{made['id']}").status_code == 204
    assert ada.delete(f"/v1/webhooks/{made['id']}").status_code == 404


def test_what_cannot_be_sent_for_a_fault_of_the_service_counts_as_failed(service: Service) -> None:
    def send(*_: Any, **__: Any) -> None:
        raise ssl.SSLError("no certificates are installed")

    make(service, kinds=["finding seen"])
    train(service)
    notifier = Notifier(service.engine, service.settings, send=send)
    assert notifier.send_due() == 1
    assert waits(service.engine) == pytest.approx([deliveries.RETRIES[0].total_seconds()], abs=5)
    assert (listed(service)[0]["pending"], listed(service)[0]["error"]) == (
        1,
        "the service could not send it: SSLError",
    )


def test_what_is_not_taken_is_sent_again_later_and_later_with_the_same_id(
    service: Service, receivers: Receivers
) -> None:
    make(service, kinds=["finding seen"])
    train(service)
    receivers.error = "hooks.test answered 500"
    notifier, waited = receivers.notifier(), list[float]()
    for _ in deliveries.RETRIES:
        assert notifier.send_due() == 1
        assert notifier.send_due() == 0
        waited += waits(service.engine)
        come_due(service.engine)
    assert waited == pytest.approx([wait.total_seconds() for wait in deliveries.RETRIES], abs=5)
    assert (listed(service)[0]["pending"], listed(service)[0]["error"]) == (1, "hooks.test answered 500")
    receivers.error = None
    assert notifier.send_due() == 1
    assert len(set(receivers.ids)) == 1
    assert (listed(service)[0]["pending"], listed(service)[0]["error"]) == (0, None)


def test_what_is_never_taken_is_given_up(service: Service, receivers: Receivers) -> None:
    make(service, kinds=["finding seen"])
    train(service)
    receivers.error = "hooks.test answered 500"
    for _ in range(len(deliveries.RETRIES) + 1):
        assert receivers.notifier().send_due() == 1
        come_due(service.engine)
    assert listed(service)[0]["pending"] == 0
    assert listed(service)[0]["error"] == "hooks.test answered 500"


def test_a_receiver_that_is_away_keeps_no_other_waiting(service: Service) -> None:
    make(service, url="https://away.test/")
    with transaction(service.engine) as session:
        ids = [create_run(session).id for _ in range(2 * deliveries.MOST_CLAIMED)]
        for run_id in ids:
            lifecycle.cancel(session, run_id)
    make(service, url="https://there.test/")
    with transaction(service.engine) as session:
        lifecycle.cancel(session, create_run(session).id)
    sent: list[str] = []

    def send(url: str, *_: Any, **__: Any) -> None:
        sent.append(url)
        if "away" in url:
            raise NotTaken("away.test did not answer")

    notifier = Notifier(service.engine, service.settings, send=send)
    assert notifier.send_due() == deliveries.MOST_OF_ONE + 1
    assert sent.count("https://there.test/") == 1
    assert notifier.send_due() == 0  # the others of the one that is away wait, too
    assert max(waits(service.engine)) < deliveries.OTHERS_WAIT.total_seconds() + 1


def test_processes_that_send_at_once_send_each_once(service: Service, receivers: Receivers) -> None:
    make(service, statuses=["queued"])
    with transaction(service.engine) as session:
        for _ in range(40):
            create_run(session)
    together = threading.Barrier(4)

    def send() -> None:
        notifier = receivers.notifier()
        together.wait()
        while notifier.send_due():
            pass

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(send) for _ in range(4)]:
            done.result()
    receivers.notifier().send_due()
    assert len(receivers.got) == 40
    assert len(set(receivers.ids)) == 40


def test_what_a_process_has_claimed_that_died_is_sent_by_another(
    service: Service, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(service, statuses=["queued"])
    with transaction(service.engine) as session:
        create_run(session)
    monkeypatch.setattr(deliveries, "CLAIM", timedelta(seconds=0.05))
    with transaction(service.engine) as session:
        (lost,) = deliveries.claim(session)
    threading.Event().wait(0.1)
    assert receivers.notifier().send_due() == 1
    assert receivers.ids == [lost.id]
    with transaction(service.engine) as session:  # the first was only slow
        deliveries.note_failed(session, lost, "late")
    assert listed(service)[0]["pending"] == 0


def test_what_is_rolled_back_is_not_told(service: Service, receivers: Receivers) -> None:
    make(service, statuses=["queued"])

    def fail() -> None:
        with transaction(service.engine) as session:
            create_run(session)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert receivers.notifier().send_due() == 0


def test_nothing_is_sent_of_what_was_deleted(service: Service, receivers: Receivers) -> None:
    made = make(service)
    make(service)
    run_id = train(service)
    assert service.client.delete(f"/v1/webhooks/{made['id']}").status_code == 204
    with transaction(service.engine) as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 2
        session.execute(update(Delivery).where(Delivery.kind == "status").values(webhook_id="f" * 16))  # of nobody
    assert receivers.notifier().send_due() == 1
    with transaction(service.engine) as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 0
    train(service)
    with transaction(service.engine) as session:
        delete_run(session, run_id)
        other = session.scalars(select(Delivery.run_id)).all()
    assert run_id not in other


def test_an_epoch_without_findings_costs_no_statement_more(
    service: Service, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    with transaction(service.engine) as session:
        claim = claim_run(session)

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        made.append(statement)

    event.listen(service.engine, "before_cursor_execute", note)
    with transaction(service.engine) as session:
        recording.record_epoch(session, epoch_record(claim, 1))
    event.remove(service.engine, "before_cursor_execute", note)
    assert not [statement for statement in made if "webhooks" in statement]


def test_the_same_request_with_the_same_key_is_one_webhook(service: Service) -> None:
    headers = {"Idempotency-Key": "again"}
    first, second = (service.client.post("/v1/webhooks", json={"url": URL}, headers=headers).json() for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("parts", "field", "words"),
    [
        ({"url": "ftp://hooks.test"}, "url", "pattern"),
        ({"url": "https://"}, "url", "pattern"),
        ({"url": "https://:80/x"}, "url", "no host"),
        ({"url": "https://a.test:99999/"}, "url", "a port that is none"),
        ({"url": "https://user:pass@a.test/"}, "url", "no user"),
        ({"url": "https://a.test/#x"}, "url", "behind a #"),
        ({"url": "https://a.test/\r\nX: y"}, "url", "pattern"),
        ({"url": "http://127.0.0.1/"}, "url", "GANCLINIC_WEBHOOK_NETWORKS"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "url", "GANCLINIC_WEBHOOK_NETWORKS"),
        ({"kinds": ["epoch"]}, "kinds[0]", "status"),
        ({"kinds": []}, "kinds", "at least 1"),
        ({"statuses": ["gone"]}, "statuses[0]", "queued"),
        ({"format": "xml"}, "format", "slack"),
    ],
)
def test_what_cannot_be_told_is_refused_by_field(
    sqlite_service: Service, parts: dict[str, Any], field: str, words: str
) -> None:
    answer = sqlite_service.client.post("/v1/webhooks", json={"url": URL, **parts})
    assert answer.status_code == 422, answer.text
    (error, *_) = answer.json()["errors"]
    assert error["field"] == field
    assert words in error["message"]


def test_an_unknown_batch_and_too_many_are_refused(sqlite_service: Service) -> None:
    answer = sqlite_service.client.post("/v1/webhooks", json={"url": URL, "batch_id": "f" * 16})
    assert answer.status_code == 404
    for _ in range(MOST_OF_AN_OWNER):
        make(sqlite_service)
    answer = sqlite_service.client.post("/v1/webhooks", json={"url": URL})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:ganclinic:problem:too-many-webhooks")
    assert len(listed(sqlite_service)) == MOST_OF_AN_OWNER


def test_the_api_sends_by_itself_while_it_runs(engine: Engine, tmp_path: Path) -> None:
    service = make_service(engine, tmp_path, webhook_networks="127.0.0.1/32")
    with receiving() as receiver, TestClient(service.app):
        made = make(service, url=f"http://127.0.0.1:{receiver.port}/x?y")
        run_id = train(service)
        wait_until(lambda: len(receiver.got) == 2)
        wait_until(lambda: listed(service)[0]["pending"] == 0)
    path, headers, body = receiver.got[-1]
    assert path == "/x?y"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert json.loads(body)["run"]["id"] == run_id


def test_a_fault_of_one_look_does_not_end_the_thread(sqlite_service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from api.notifications import notifier as module

    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    looks: list[int] = []
    enough = threading.Event()

    def look(_: Notifier) -> int:
        looks.append(1)
        if len(looks) == 3:
            enough.set()
        if len(looks) < 3:
            raise RuntimeError("a fault")
        return 0

    monkeypatch.setattr(Notifier, "send_due", look)
    notifier = Notifier(sqlite_service.engine, sqlite_service.settings)
    notifier.start()
    assert enough.wait(10)
    notifier.stop()
