"""`ganclinic sync`: what trainers have kept of watched runs while the service was away."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from ganclinic.cli.output import Output
from ganclinic.client import Client

if TYPE_CHECKING:
    from ganclinic.watching.sync import Synced

OK = 0
LEFT_OUT = 1


def sync(client: Client, output: Output, options: argparse.Namespace) -> int:
    """`ganclinic sync`: exits with 1 where something is left."""
    found = client.sync(options.folder)
    documents = [{**asdict(one), "folder": str(one.folder)} for one in found]
    output.result(documents, Group(*(_line(one) for one in found)))
    return OK if all(one.error is None for one in found) else LEFT_OUT


def _line(one: "Synced") -> Text:
    """`00aa  1,000 steps, 2 epochs  kept/2026…`."""
    if one.error is not None:
        return Text(f"{one.folder}: {one.error}")
    more = "" if one.is_whole else ", and the trainer has not said that it ended"
    return Text(f"{one.run_id}  {one.steps:,} steps, {one.epochs:,} epochs{more}  {one.folder}")
