"""What may become of runs and attempts, and what is told of it. Imports nothing: the command line waits for it."""

from typing import Literal, get_args

Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled", "halted"]
STATUSES: tuple[Status, ...] = get_args(Status)
FINAL_STATUSES: frozenset[Status] = frozenset({"succeeded", "failed", "cancelled", "halted"})
AttemptOutcome = Literal[
    "running", "succeeded", "failed", "cancelled", "halted", "lost", "handed over", "paused", "gave way"
]

EventKind = Literal["status", "progress", "epoch", "finding seen", "finding over", "treatment"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
WebhookKind = Literal["status", "finding seen", "finding over"]
WEBHOOK_KINDS: tuple[WebhookKind, ...] = get_args(WebhookKind)
"""Events that webhooks are told."""
WebhookFormat = Literal["json", "slack"]
