"""What webhooks are to be told: stored in the transaction that changes a run, claimed by whoever sends it, settled.

A delivery that is claimed is due again when the claim ends: of a process that dies, another sends it once more. So a
receiver may get one twice, with the same id, and never none. Who has claimed it is told by the number of attempts.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from ganlib.wire.statuses import WEBHOOK_KINDS, Status, WebhookFormat, WebhookKind
from store.core.db import after, now
from store.core.models import Delivery, Run, Webhook
from store.files.references import portions

MOST_CLAIMED = 16
"""Deliveries that are claimed at once."""
MOST_OF_ONE = 4
"""Of them, those of one webhook: a receiver that is slow keeps no other waiting."""
CLAIM = timedelta(seconds=60)
"""How long a process has for what it has claimed: a request takes 10 s at most."""
RETRIES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600))
"""How long after an attempt the next is made; after the last one, which is 17 hours after the first, it is given up."""
OTHERS_WAIT = timedelta(seconds=60)
"""How long at most the other deliveries of a webhook wait when one has failed: it may not answer at all."""
LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """What is to be sent now, and where."""

    id: str
    attempt: int
    """1 for the first."""
    webhook_id: str
    url: str
    format: WebhookFormat
    secret: str
    kind: WebhookKind
    changed: dict[str, Any]
    at: float
    run_id: str
    batch_id: str | None
    run_name: str | None
    status: Status
    verdict: str | None
    severity: str | None
    epochs_done: int
    epochs_total: int


def queue(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Stores what webhooks are to be told of these events: run_id, kind, changed."""
    told = [row for row in rows if row["kind"] in WEBHOOK_KINDS]
    for ids in portions(list(dict.fromkeys(row["run_id"] for row in told))):
        is_of_owner = and_(Webhook.batch_id.is_(None), Webhook.owner == Run.owner)
        query = (
            select(Run.id, Webhook.id, Webhook.kinds, Webhook.statuses)
            .join(Webhook, or_(Webhook.batch_id == Run.batch_id, is_of_owner))
            .where(Run.id.in_(ids), Run.kind == "training")
        )
        found = session.execute(query).all()
        made = [
            {"id": secrets.token_hex(8), "webhook_id": webhook_id, **row}
            for run_id, webhook_id, kinds, statuses in found
            for row in told
            if row["run_id"] == run_id and _wants(kinds, statuses, row)
        ]
        if made:
            session.execute(insert(Delivery).values(at=now(), due_at=now(), attempts=0), made)


def _wants(kinds: list[WebhookKind], statuses: list[Status], row: dict[str, Any]) -> bool:
    is_told = row["kind"] != "status" or row["changed"]["status"] in statuses
    return row["kind"] in kinds and is_told


def is_any_due(session: Session) -> bool:
    """Whether something is to be sent now."""
    return session.scalar(select(Delivery.id).where(Delivery.due_at <= now()).limit(1)) is not None


def claim(session: Session) -> list[ClaimedDelivery]:
    """What is due, the oldest first; nobody else has it for as long as a claim lasts."""
    order = func.row_number().over(partition_by=Delivery.webhook_id, order_by=(Delivery.due_at, Delivery.id))
    due = select(Delivery.id, Delivery.due_at, order.label("number")).where(Delivery.due_at <= now()).subquery()
    first = select(due.c.id).where(due.c.number <= MOST_OF_ONE).order_by(due.c.due_at, due.c.id).limit(MOST_CLAIMED)
    # What another process is at is left out, not waited for: two that wait for each other would both be lost.
    is_due = and_(Delivery.id.in_(first), Delivery.due_at <= now())
    claimed = session.scalars(select(Delivery.id).where(is_due).with_for_update(skip_locked=True)).all()
    if not claimed:
        return []
    values = {"attempts": Delivery.attempts + 1, "due_at": after(CLAIM)}
    taken = update(Delivery).where(Delivery.id.in_(claimed)).values(values)
    session.execute(taken.execution_options(synchronize_session=False))
    query = (
        select(Delivery, Webhook, Run)
        .join(Run, Run.id == Delivery.run_id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.id.in_(claimed))
        .order_by(Delivery.at, Delivery.id)
        .execution_options(populate_existing=True)
    )
    found = [_claimed(delivery, webhook, run) for delivery, webhook, run in session.execute(query)]
    if of_nobody := set(claimed) - {each.id for each in found}:
        session.execute(delete(Delivery).where(Delivery.id.in_(of_nobody)))
    return found


def _claimed(delivery: Delivery, webhook: Webhook, run: Run) -> ClaimedDelivery:
    return ClaimedDelivery(
        id=delivery.id,
        attempt=delivery.attempts,
        webhook_id=webhook.id,
        url=webhook.url,
        format=webhook.format,
        secret=webhook.secret,
        kind=delivery.kind,
        changed=delivery.changed,
        at=delivery.at,
        run_id=run.id,
        batch_id=run.batch_id,
        run_name=run.name,
        status=run.status,
        verdict=run.verdict,
        severity=run.severity,
        epochs_done=run.epochs_done,
        epochs_total=run.epochs_total,
    )


def note_taken(session: Session, claimed: ClaimedDelivery) -> None:
    """The receiver has taken it."""
    _note(session, claimed, delivered_at=now(), error=None)
    session.execute(delete(Delivery).where(Delivery.id == claimed.id))


def note_failed(session: Session, claimed: ClaimedDelivery, error: str) -> None:
    """The receiver has not taken it: it is sent again later, or given up."""
    _note(session, claimed, failed_at=now(), error=error[:LONGEST_ERROR])
    of_claim = and_(Delivery.id == claimed.id, Delivery.attempts == claimed.attempt)
    if claimed.attempt > len(RETRIES):
        session.execute(delete(Delivery).where(of_claim))
        return
    wait = RETRIES[claimed.attempt - 1]
    session.execute(update(Delivery).where(of_claim).values(due_at=after(wait)))
    others_wait = after(min(wait, OTHERS_WAIT))
    others = and_(Delivery.webhook_id == claimed.webhook_id, Delivery.due_at < others_wait)
    session.execute(update(Delivery).where(others, Delivery.id != claimed.id).values(due_at=others_wait))


def _note(session: Session, claimed: ClaimedDelivery, **values: Any) -> None:
    """How the webhook fares. Locks its row first: of two that settle its deliveries, one waits."""
    session.execute(update(Webhook).where(Webhook.id == claimed.webhook_id).values(values))
