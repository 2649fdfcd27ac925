"""Webhooks: the service tells an address of yours what changes in your runs, or in those of a batch."""

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Path

from api.deps import CallerDep, IdempotencyKey, JsonBody, Reader, Services, ServicesDep, Writer, require_is_of
from api.errors import documented
from api.notifications.addresses import AddressNotAllowed, require_allowed
from api.views import fields_of
from ganlib.spec.request import InvalidRequest
from ganlib.wire.webhooks import MadeWebhook, WebhookList, WebhookRequest, WebhookView
from store import webhooks
from store.core.models import Webhook
from store.scheduling.owners import Owner

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post("", status_code=201, dependencies=[JsonBody], responses=documented(400, 404, 409, 413, 415, 422))
def create_webhook(
    request: WebhookRequest,
    session: Writer,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey,
) -> MadeWebhook:
    """Have an address told of what changes from now on; the answer has the key that signs it, which is told once."""
    _require_may_be_sent_to(request.url, services)
    made = webhooks.create(session, request, owner=caller.owner, idempotency_key=idempotency_key)
    return MadeWebhook(**fields_of(WebhookView, made), pending=0, secret=made.secret)


def _require_may_be_sent_to(url: str, services: Services) -> None:
    """Returns unless the URL names an address that nothing may be sent to; names are looked at when they are used."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return
    try:
        require_allowed(host, [str(address)], services.settings.webhook_networks)
    except AddressNotAllowed as error:
        raise InvalidRequest({"url": str(error)}) from None


@router.get("")
def list_webhooks(session: Reader, caller: CallerDep) -> WebhookList:
    """List your webhooks, oldest first, and how they fare. Administrators see everybody's."""
    found = webhooks.of(session, None if caller.administrator else caller.owner)
    return WebhookList(items=tuple(_view(webhook, pending) for webhook, pending in found))


@router.delete("/{webhook_id}", status_code=204, responses=documented(403, 404))
def delete_webhook(
    webhook_id: Annotated[str, Path(description="Id of the webhook, 16 hex digits.")],
    session: Writer,
    caller: CallerDep,
) -> None:
    """Tell an address no more, not even what is yet to be sent."""
    webhook = webhooks.get(session, webhook_id)
    require_is_of(caller, Owner(user=webhook.user, team=webhook.team), "webhook")
    webhooks.remove(session, webhook)


def _view(webhook: Webhook, pending: int) -> WebhookView:
    return WebhookView(**fields_of(WebhookView, webhook), pending=pending)
