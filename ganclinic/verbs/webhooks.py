"""Who is told by the service itself when something changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ganclinic import views
from ganclinic.connection import Connection
from ganlib.wire.paths import WEBHOOKS, webhook_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import MadeWebhook, WebhookView
    from ganlib.wire.statuses import Status, WebhookFormat, WebhookKind


class WebhookVerbs(Connection):
    """Who is told by the service itself when something changes."""

    def create_webhook(
        self,
        url: str,
        *,
        batch: str | None = None,
        kinds: Sequence[WebhookKind] = (),
        statuses: Sequence[Status] = (),
        format: WebhookFormat = "json",
        idempotency_key: str | None = None,
    ) -> MadeWebhook:
        """Has the address told of what changes in your runs, or in those of a batch; by default of findings and ends.

        The answer has the secret that signs what is sent, which is told once.

        Raises:
            NotFound: there is no such batch.
            InvalidSpec: with every field that is wrong.
        """
        body: dict[str, Any] = {"url": url, "format": format, "batch_id": batch}
        body |= {name: list(chosen) for name, chosen in (("kinds", kinds), ("statuses", statuses)) if chosen}
        return self._answers.create(views.MadeWebhook, WEBHOOKS, body, idempotency_key)

    def webhooks(self) -> list[WebhookView]:
        """Your webhooks, oldest first, and how they fare."""
        return self._answers.views(views.WebhookView, WEBHOOKS)

    def delete_webhook(self, webhook_id: str) -> None:
        """Has the address told no more, not even what is yet to be sent.

        Raises:
            NotFound: there is no such webhook.
        """
        self._transport.delete(webhook_path(webhook_id))
