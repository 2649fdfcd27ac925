"""`ganclinic webhooks`: who is told by the service itself when something changes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ganclinic.cli.output import Output
from ganclinic.cli.words import NONE, age_words
from ganclinic.client import Client
from ganclinic.errors import InvalidInput

if TYPE_CHECKING:
    from ganclinic.views import WebhookView

OK = 0


def webhooks(client: Client, output: Output, options: argparse.Namespace) -> int:
    if options.add is not None:
        return _add(client, output, options)
    if options.kinds or options.statuses or options.batch or options.slack:
        raise InvalidInput("--kind, --status, --batch and --slack say what an address is told: name it with --add URL.")
    if options.remove is not None:
        client.delete_webhook(options.remove)
        output.result({"deleted": options.remove}, options.remove)
        return OK
    found = client.webhooks()
    output.result([webhook.to_json() for webhook in found], _table(found))
    return OK


def _add(client: Client, output: Output, options: argparse.Namespace) -> int:
    made = client.create_webhook(
        options.add,
        batch=options.batch,
        kinds=options.kinds,
        statuses=options.statuses,
        format="slack" if options.slack else "json",
    )
    output.result(made.to_json(), made.id)
    if not options.slack and not output.as_json:
        output.note(f"What is sent is signed with {made.secret}, which is told only now (docs/api.md).")
    return OK


def _table(webhooks: Sequence[WebhookView]) -> RenderableType:
    if not webhooks:
        return Text("No webhooks yet. Make one: ganclinic webhooks --add URL")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in ("webhook", "told of", "pending", "taken", "last error", "url"):
        table.add_column(head, no_wrap=head not in {"url", "last error"})
    for each in webhooks:
        taken = NONE if each.delivered_at is None else age_words(each.delivered_at)
        of = "your runs" if each.batch_id is None else f"batch {each.batch_id}"
        table.add_row(*map(Text, (each.id, of, str(each.pending), taken, each.error or NONE, each.url)))
    return table
