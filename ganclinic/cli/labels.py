"""`ganclinic dispute` and `ganclinic labels`: what people say of verdicts."""

import argparse
import json
from itertools import islice

from ganclinic.cli.output import Output
from ganclinic.cli.tables import labels_table
from ganclinic.client import Client
from ganclinic.config import ConfigSources, user_name
from ganclinic.errors import InvalidInput

OK = 0


def dispute(client: Client, output: Output, options: argparse.Namespace) -> int:
    author = options.author or user_name(ConfigSources.real())
    if author is None:
        raise InvalidInput("Who says so? Name yourself: --author NAME.")
    made = client.dispute(
        options.run, options.finding, holds=options.holds, author=author, epoch=options.epoch, note=options.note
    )
    output.result(made.to_json(), made.id)
    output.note(
        f"Kept beside the verdict {made.verdict} of ruleset {made.ruleset}. All: ganclinic labels {made.run_id}"
    )
    return OK


def labels(client: Client, output: Output, options: argparse.Namespace) -> int:
    if options.export:
        return _export(client, output, options)
    found = client.labels_of(options.run) if options.run else list(islice(client.labels(), options.limit + 1))
    shown = found if options.run else found[: options.limit]
    output.result([label.to_json() for label in shown], labels_table(shown))
    if len(found) > len(shown):
        output.note(f"There are older labels: ganclinic labels --limit {2 * options.limit}")
    return OK


def _export(client: Client, output: Output, options: argparse.Namespace) -> int:
    if options.run:
        raise InvalidInput("--export writes the labels of all runs: leave RUN out, or --export.")
    documents = client.export_labels()
    output.results.file.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    return OK
