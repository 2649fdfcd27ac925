"""Webhooks: where somebody wants to be told what changes in runs, and what is sent there."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from ganlib.wire.events import EventView
from ganlib.wire.statuses import FINAL_STATUSES, STATUSES, WEBHOOK_KINDS, Status, WebhookFormat, WebhookKind
from ganlib.wire.view import View

END_STATUSES: tuple[Status, ...] = tuple(status for status in STATUSES if status in FINAL_STATUSES)


def _has_host(url: str) -> str:
    parts = urlsplit(url)
    try:
        is_known = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        is_known = False
    if not is_known:
        raise ValueError("names no host, or a port that is none; write it as https://hooks.example.org/path")
    if parts.username is not None:
        raise ValueError("may hold no user and password; put a secret into its path")
    if parts.fragment:
        raise ValueError("may have no part behind a #, which is never sent")
    return url


WebhookUrl = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$", max_length=2000), AfterValidator(_has_host)]


class WebhookRequest(BaseModel):
    """Where to send what."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: WebhookUrl
    """Gets a POST for each event. The service follows no redirect, and sends nothing to private addresses."""
    format: WebhookFormat = "json"
    """`json`: a Notification; `slack`: `{"text": …}`, as Slack's and Mattermost's incoming webhooks take it."""
    kinds: tuple[WebhookKind, ...] = Field(default=WEBHOOK_KINDS, min_length=1, max_length=len(WEBHOOK_KINDS))
    """Which events."""
    statuses: tuple[Status, ...] = Field(default=END_STATUSES, min_length=1, max_length=len(STATUSES))
    """Which statuses are told, of the kind `status`; by default those in which a run is over."""
    batch_id: str | None = Field(default=None, max_length=200)
    """Only of the runs of this batch, whoever made it; null: of all runs of your own."""


class WebhookView(View):
    """A webhook, and how it fares."""

    id: str
    url: str
    format: WebhookFormat
    kinds: tuple[WebhookKind, ...]
    statuses: tuple[Status, ...]
    batch_id: str | None
    user: str
    team: str | None
    created_at: datetime
    pending: int
    """Events that are yet to be sent, or sent again."""
    delivered_at: datetime | None
    """When the receiver last took one."""
    failed_at: datetime | None
    """When it last did not."""
    error: str | None
    """Why not; null once it has taken another."""


class MadeWebhook(WebhookView):
    """A webhook, with what its receiver checks signatures with: it is told this once."""

    secret: str
    """`whsec_` and a key in base64, as libraries for Standard Webhooks take it."""


class WebhookList(View):
    """All webhooks of the caller, oldest first."""

    items: tuple[WebhookView, ...]


class NotifiedRun(View):
    """The run when it was told of."""

    id: str
    name: str | None
    status: Status
    verdict: str | None
    severity: str | None
    epochs_done: int
    epochs_total: int


class Notification(View):
    """What a webhook gets, in the format `json`."""

    type: WebhookKind
    timestamp: datetime
    """When the event was stored."""
    data: EventView
    run: NotifiedRun
