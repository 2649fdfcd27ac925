"""The verb about what came of a batch: results."""

import argparse
import json

from rich.table import Table

from ganclinic.cli.output import Output
from ganclinic.cli.words import verdict_text
from ganclinic.client import Client
from ganclinic.views import BatchResults

OK = 0
MOST_COLUMNS = 4
"""Fields that differ, and figures, of each at most so many: a terminal has no room for more."""


def results(client: Client, output: Output, options: argparse.Namespace) -> int:
    if options.csv:
        text = client.results_csv(options.batch, sort=options.sort, verdict=options.verdict)
        output.results.file.write(text)
        return OK
    found = client.results(options.batch, sort=options.sort, verdict=options.verdict)
    output.result(found.to_json(), _table(found))
    hidden = len(found.varied[MOST_COLUMNS:]) + len(found.figures[MOST_COLUMNS:])
    if hidden and not output.as_json:
        output.note(f"{hidden} columns are left out; --csv and --json have all.")
    return OK


def _table(found: BatchResults) -> Table:
    varied, figures = found.varied[:MOST_COLUMNS], found.figures[:MOST_COLUMNS]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", *(path.rpartition(".")[2] for path in varied), "status", "verdict", *figures, "seconds"):
        table.add_column(name)
    for row in found.items:
        values = (row.values.get(name) for name in figures)
        table.add_row(
            row.run_id,
            *(_word(row.spec.get(path)) for path in varied),
            row.status,
            verdict_text(row.verdict) if row.verdict else "",
            *("" if value is None else f"{value:.3g}" for value in values),
            f"{row.seconds:.0f}",
        )
    return table


def _word(value: object) -> str:
    """A field's value, harmless on a terminal."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(letter for letter in text if letter.isprintable())
