"""The verb about what changes: events."""

import argparse
from itertools import islice

from ganclinic.cli.output import Output
from ganclinic.client import Client
from ganclinic.views import EventView

OK = 0


def events(client: Client, output: Output, options: argparse.Namespace) -> int:
    heard = client.events(options.run, batch=options.batch, kinds=options.kinds or (), after=options.after)
    for event in islice(heard, options.count):
        line = event.model_dump_json(exclude_none=True) if output.as_json else line_of(event)
        output.results.file.write(f"{line}\n")
        output.results.file.flush()
    return OK


def line_of(event: EventView) -> str:
    """`09:00:02 0f3c… epoch 3`, on the clock of this machine."""
    return f"{event.at.astimezone():%H:%M:%S} {event.run_id} {_words(event)}"


def _words(event: EventView) -> str:
    match str(event.kind):
        case "status":
            asked = [
                word
                for word, is_asked in (("end", event.cancel_requested), ("pause", event.pause_requested))
                if is_asked
            ]
            is_over = event.status not in ("queued", "running")
            return f"{event.status}" + (f", is to {' and '.join(asked)}" if asked and not is_over else "")
        case "progress":
            return f"step {event.step}"
        case "epoch":
            return f"epoch {event.epoch}"
        case "finding seen":
            return f"{event.finding}, {event.severity}, seen after epoch {event.epoch}"
        case "finding over":
            return f"{event.finding} is over after epoch {event.epoch}"
        case "treatment":
            made = "" if event.try_id is None else f", tries {event.try_id}"
            return f"treatment {event.treatment_id} {event.treatment_status}{made}"
        case kind:  # of a newer service
            return kind
