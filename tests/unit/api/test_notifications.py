"""What is sent to webhooks, and where to: never into networks that the operator did not allow."""

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

import pytest

from api.notifications.addresses import AddressNotAllowed, require_allowed
from api.notifications.content import body_of, headers_of
from api.notifications.posting import NotTaken, post
from ganlib.wire.statuses import WebhookFormat, WebhookKind
from store.runs.deliveries import ClaimedDelivery
from tests.support.receiver import Receiver, receiving

LOOPBACK = [ip_network("127.0.0.0/8")]
KEY = b"k" * 24


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",  # where clouds tell machines their keys
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",  # of a site alone, as fc00::/7 is today
    "feff::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_nothing_is_sent_to_addresses_that_are_not_of_the_internet(address: str) -> None:
    with pytest.raises(AddressNotAllowed, match="GANCLINIC_WEBHOOK_NETWORKS"):
        require_allowed("hooks.test", [address], [])
    with pytest.raises(AddressNotAllowed):  # nor to a host that has one among others
        require_allowed("hooks.test", ["93.184.215.14", address], [])


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"])
def test_the_internet_is_sent_to(address: str) -> None:
    assert require_allowed("hooks.test", [address], []) == address


def test_the_operator_may_allow_a_network_and_no_other() -> None:
    networks = [ip_network("10.1.0.0/16"), ip_network("::1/128")]
    assert require_allowed("a", ["10.1.2.3"], networks) == "10.1.2.3"
    assert require_allowed("a", ["::ffff:10.1.2.3"], networks) == "::ffff:10.1.2.3"
    assert require_allowed("a", ["::1"], networks) == "::1"
    with pytest.raises(AddressNotAllowed):
        require_allowed("a", ["10.2.0.1"], networks)
    with pytest.raises(AddressNotAllowed, match="no address"):
        require_allowed("a", [], networks)


def test_a_name_that_means_another_address_a_moment_later_changes_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name is looked up once, and the connection goes to what was looked at."""
    asked: list[str] = []

    def rebind(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.9"]

    def resolves_itself(host: Any, *_: Any, **__: Any) -> Any:
        raise AssertionError(f"{host} is looked up again")

    looked_up = socket.getaddrinfo
    numeric = lambda host, *rest, **named: (  # noqa: E731
        looked_up(host, *rest, **named) if host == "127.0.0.1" else resolves_itself(host)
    )
    monkeypatch.setattr(socket, "getaddrinfo", numeric)
    post(f"http://rebinding.test:{receiver.port}/x", b"{}", {}, networks=LOOPBACK, resolver=rebind)
    assert asked == ["rebinding.test"]
    ((path, headers, body),) = receiver.got
    assert (path, headers["Host"], body) == ("/x", f"rebinding.test:{receiver.port}", b"{}")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "[::1]"])
def test_no_way_of_writing_loopback_reaches_it(receiver: Receiver, host: str) -> None:
    with pytest.raises(NotTaken):
        post(f"http://{host}:{receiver.port}/", b"{}", {})
    assert receiver.got == []


def test_no_redirect_is_followed_and_no_proxy_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    receiver.status, receiver.headers = 307, {"Location": f"http://127.0.0.1:{receiver.port}/secret"}
    with pytest.raises(NotTaken, match="answered 307; redirects are not followed"):
        post(f"http://127.0.0.1:{receiver.port}/hook", b"{}", {}, networks=LOOPBACK)
    assert [path for path, _, _ in receiver.got] == ["/hook"]


@pytest.mark.parametrize("status", [400, 410, 500, 503])
def test_what_is_not_taken_is_told(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(NotTaken, match=f"127.0.0.1 answered {status}"):
        post(f"http://127.0.0.1:{receiver.port}/", b"{}", {}, networks=LOOPBACK)


def test_a_receiver_that_sends_a_byte_now_and_then_is_given_up(receiver: Receiver) -> None:
    receiver.pause_s = 0.1
    with pytest.raises(NotTaken, match=r"did not answer within 0\.5 s"):
        post(f"http://127.0.0.1:{receiver.port}/", b"{}", {}, networks=LOOPBACK, longest_s=0.5)


def test_nobody_who_listens_and_no_name_are_told() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NotTaken, match=r"127\.0\.0\.1 did not answer"):
        post(f"http://127.0.0.1:{port}/", b"{}", {}, networks=LOOPBACK)

    def nobody(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(NotTaken, match="has no address that could be found"):
        post("http://nowhere.test/", b"{}", {}, resolver=nobody)


def delivery(kind: WebhookKind = "status", format: WebhookFormat = "json", **changed: Any) -> ClaimedDelivery:
    return ClaimedDelivery(
        id="0123456789abcdef",
        attempt=1,
        webhook_id="a" * 16,
        url="https://hooks.test/",
        format=format,
        secret="whsec_" + base64.b64encode(KEY).decode(),
        kind=kind,
        changed=changed,
        at=1_796_000_000.5,
        run_id="b" * 16,
        batch_id=None,
        run_name="<!channel> & co",
        status="succeeded",
        verdict="mode collapse",
        severity="severe",
        epochs_done=3,
        epochs_total=3,
    )


def test_what_is_sent_says_what_has_changed_in_which_run() -> None:
    sent = json.loads(body_of(delivery("finding seen", finding="mode collapse", severity="severe", epoch=2)))
    assert sent == {
        "type": "finding seen",
        "timestamp": "2026-11-30T00:53:20.500000Z",
        "data": {
            "kind": "finding seen",
            "run_id": "b" * 16,
            "at": "2026-11-30T00:53:20.500000Z",
            "finding": "mode collapse",
            "severity": "severe",
            "epoch": 2,
        },
        "run": {
            "id": "b" * 16,
            "name": "<!channel> & co",
            "status": "succeeded",
            "verdict": "mode collapse",
            "severity": "severe",
            "epochs_done": 3,
            "epochs_total": 3,
        },
    }


@pytest.mark.parametrize(
    ("kind", "changed", "words"),
    [
        ("status", {"status": "succeeded"}, " is succeeded, mode collapse (epoch 3 of 3)"),
        (
            "finding seen",
            {"finding": "mode collapse", "severity": "severe", "epoch": 2},
            ": mode collapse, severe, seen after epoch 2",
        ),
        ("finding over", {"finding": "oscillation", "epoch": 3}, ": oscillation is over after epoch 3"),
    ],
)
def test_slack_gets_one_line_in_which_nothing_calls_anybody(
    kind: WebhookKind, changed: dict[str, Any], words: str
) -> None:
    text = json.loads(body_of(delivery(kind, "slack", **changed)))["text"]
    assert text == f"Run {'b' * 16} (&lt;!channel&gt; &amp; co){words}"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    body = body_of(delivery(status="failed"))
    headers = headers_of(delivery(status="failed"), body, 1_796_000_001.9)
    assert headers["webhook-id"] == "0123456789abcdef"
    assert headers["webhook-timestamp"] == "1796000001"
    expected = hmac.new(KEY, b"0123456789abcdef.1796000001." + body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()


def test_a_known_message_has_the_signature_that_the_standard_publishes() -> None:
    """The example of the reference libraries."""
    from dataclasses import replace

    known = replace(delivery(), id="msg_p5jXN8AQM9LWM0D4loKWxJek", secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = headers_of(known, b'{"test": 2432232314}', 1_614_265_330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
