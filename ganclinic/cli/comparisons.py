"""`ganclinic compare` and `ganclinic comparisons`: two sets of samples in, every measure out."""

from __future__ import annotations

import argparse
from itertools import islice
from typing import TYPE_CHECKING

from ganclinic.assignments import parse_settings
from ganclinic.cli.output import Output
from ganclinic.cli.tables import comparison_details, comparisons_table
from ganclinic.client import Client

if TYPE_CHECKING:
    from ganclinic.views import ComparisonView

OK = 0
FAILED = 1


def compare(client: Client, output: Output, options: argparse.Namespace) -> int:
    made = client.compare(options.real, options.fake, **parse_settings(options.set))
    if not options.wait:
        output.result(made.to_json(), made.id)
        output.note(f"Queued. What it finds: ganclinic show {made.id}")
        return OK
    try:
        over = client.wait_for_comparison(made.id)
    except KeyboardInterrupt:
        output.note(
            f"Stopped waiting; it goes on.\n  again: ganclinic show {made.id}\n  end it: ganclinic cancel {made.id}"
        )
        raise
    return show(output, over)


def comparisons(client: Client, output: Output, options: argparse.Namespace) -> int:
    found = list(islice(client.list_comparisons(status=options.status), options.limit + 1))
    shown = found[: options.limit]
    output.result([item.to_json() for item in shown], comparisons_table(shown))
    if len(found) > len(shown):
        output.note(f"There are older ones: ganclinic comparisons --limit {2 * options.limit}")
    return OK


def show(output: Output, comparison: ComparisonView) -> int:
    """Writes what is known of the comparison; exit status 1 where it came to nothing."""
    output.result(comparison.to_json(), comparison_details(comparison))
    return FAILED if comparison.status in {"failed", "cancelled"} else OK
