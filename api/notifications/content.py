"""What is sent to a webhook, and how it is signed: as Standard Webhooks (standardwebhooks.com) has it, version 1."""

import base64
import hashlib
import hmac
import json

from api.views import utc
from ganlib.wire.events import EventView
from ganlib.wire.webhooks import Notification, NotifiedRun
from store.runs.deliveries import ClaimedDelivery


def body_of(delivery: ClaimedDelivery) -> bytes:
    """The body, in the webhook's format."""
    event = EventView(
        kind=delivery.kind,
        run_id=delivery.run_id,
        batch_id=delivery.batch_id,
        at=utc(delivery.at),
        **delivery.changed,
    )
    if delivery.format == "slack":
        return json.dumps({"text": _line(delivery, event)}).encode()
    run = NotifiedRun(
        id=delivery.run_id,
        name=delivery.run_name,
        status=delivery.status,
        verdict=delivery.verdict,
        severity=delivery.severity,
        epochs_done=delivery.epochs_done,
        epochs_total=delivery.epochs_total,
    )
    notification = Notification(type=delivery.kind, timestamp=event.at, data=event, run=run)
    return notification.model_dump_json(exclude_none=True).encode()


def headers_of(delivery: ClaimedDelivery, body: bytes, at: float) -> dict[str, str]:
    """The headers of what is sent at a time, in seconds since 1970. A receiver refuses what is older than minutes."""
    timestamp = str(int(at))
    key = base64.b64decode(delivery.secret.removeprefix("whsec_"))
    signed = b".".join((delivery.id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "ganclinic",
        "webhook-id": delivery.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


def _line(delivery: ClaimedDelivery, event: EventView) -> str:
    name = f" ({_escaped(delivery.run_name)})" if delivery.run_name else ""
    run = f"Run {delivery.run_id}{name}"
    if delivery.kind == "finding seen":
        return f"{run}: {event.finding}, {event.severity}, seen after epoch {event.epoch}"
    if delivery.kind == "finding over":
        return f"{run}: {event.finding} is over after epoch {event.epoch}"
    verdict = "" if delivery.verdict is None else f", {delivery.verdict}"
    return f"{run} is {event.status}{verdict} (epoch {delivery.epochs_done} of {delivery.epochs_total})"


def _escaped(text: str) -> str:
    """A name that somebody gave, so that Slack takes nothing in it for a link or for somebody to call."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
