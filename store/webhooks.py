"""Webhooks: made, listed and deleted by whoever wants to be told."""

import base64
import secrets

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ganlib.wire.webhooks import WebhookRequest
from store.core.db import clock
from store.core.errors import TooManyWebhooks, WebhookNotFound
from store.core.idempotency import insert_once
from store.core.models import Delivery, Webhook
from store.runs import batches
from store.runs.lifecycle import hash_request, new_id
from store.scheduling.owners import Owner

MOST_OF_AN_OWNER = 20
KEY_BYTES = 24


def create(session: Session, request: WebhookRequest, *, owner: Owner, idempotency_key: str | None = None) -> Webhook:
    """A new webhook; or the one that the same request with the same key made.

    Raises:
        BatchNotFound: there is no such batch.
        IdempotencyConflict: the key was used for another request.
        TooManyWebhooks: the owner has as many as it may.
    """
    if request.batch_id is not None:
        batches.require(session, request.batch_id)
    webhook = Webhook(
        id=new_id(),
        user=owner.user,
        team=owner.team,
        owner=owner.id,
        url=request.url,
        format=request.format,
        secret="whsec_" + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode(),
        kinds=list(request.kinds),
        statuses=list(request.statuses),
        batch_id=request.batch_id,
        request_hash=hash_request(request),
        created_at=clock(session),
    )
    stored, is_new = insert_once(session, webhook, idempotency_key)
    if is_new and _count(session, owner) > MOST_OF_AN_OWNER:
        raise TooManyWebhooks(MOST_OF_AN_OWNER)
    return stored


def _count(session: Session, owner: Owner) -> int:
    return session.scalars(select(func.count()).where(Webhook.owner == owner.id)).one()


def of(session: Session, owner: Owner | None) -> list[tuple[Webhook, int]]:
    """All webhooks of an owner, or of everybody, oldest first, each with how much is yet to be sent to it."""
    pending = select(func.count()).where(Delivery.webhook_id == Webhook.id).scalar_subquery()
    query = select(Webhook, pending).order_by(Webhook.created_at, Webhook.id)
    if owner is not None:
        query = query.where(Webhook.owner == owner.id)
    return [(webhook, count) for webhook, count in session.execute(query)]


def get(session: Session, webhook_id: str) -> Webhook:
    """The webhook of that id.

    Raises:
        WebhookNotFound: there is none.
    """
    webhook = session.get(Webhook, webhook_id)
    if webhook is None:
        raise WebhookNotFound(webhook_id)
    return webhook


def remove(session: Session, webhook: Webhook) -> None:
    """Deletes it; what is yet to be sent to it never is."""
    session.execute(delete(Delivery).where(Delivery.webhook_id == webhook.id))
    session.delete(webhook)
