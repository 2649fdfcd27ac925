"""The verbs that make runs, and watch them: run, batch, watch."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.text import Text

from ganclinic.cli.bars import display_for
from ganclinic.cli.output import Output
from ganclinic.cli.runs import named
from ganclinic.cli.words import verdict_text
from ganclinic.client import Client
from ganclinic.request import batch_from, request_from
from ganclinic.views import RunView

OK = 0
RUN_FAILED = 1


def run(client: Client, output: Output, options: argparse.Namespace) -> int:
    made = client.create_run(request_from(options.source, options.set, options.name, options.priority, options.tags))
    if options.watch:
        return watch_until_over(output, client.watch_runs([made.id], when_waiting=hint(output)), single=True)
    output.result(made.to_json(), made.id)
    output.note(
        f"Queued. Look at it: ganclinic watch {made.id}   The verdict: ganclinic show {made.id}   "
        f"If it does not begin: ganclinic why {made.id}"
    )
    return OK


def batch(client: Client, output: Output, options: argparse.Namespace) -> int:
    name, requests = batch_from(Path(options.file), options.priority)
    made = client.create_batch(requests, name=options.name or name)
    if options.watch:
        return watch_until_over(output, (seen.runs for seen in client.watch_batch(made.id, when_waiting=hint(output))))
    output.result(made.to_json(), "\n".join(r.id for r in made.runs))
    output.note(
        f"Queued {len(made.runs)} runs. Look at them: ganclinic ls --batch {made.id}   "
        f"If none begins: ganclinic why {made.runs[0].id}"
    )
    return OK


def watch(client: Client, output: Output, options: argparse.Namespace) -> int:
    ids = named(client, options)
    if not options.runs and options.batch is None:
        ids = [r.id for status in ("running", "queued") for r in client.list_runs(status=status)]
    if not ids:
        output.result([], "Nothing is queued or running. Make a run: ganclinic run digit8-stable --watch")
        return OK
    return watch_until_over(output, client.watch_runs(ids, when_waiting=hint(output)))


def watch_until_over(output: Output, states: Iterator[Sequence[RunView]], *, single: bool = False) -> int:
    """Shows the runs until they are over, then what became of them."""
    runs: Sequence[RunView] = ()
    try:
        with display_for(output) as display:
            for runs in states:
                display.update(runs)
    except KeyboardInterrupt:
        output.note(f"Stopped watching; it goes on.\n{_what_next([r for r in runs if not r.is_final])}")
        raise
    if output.as_json:
        documents = [r.to_json() for r in runs]
        output.json(documents[0] if single else documents)
    else:
        for over in runs:
            output.results.print(_outcome(over), soft_wrap=True)
    return OK if all(r.status == "succeeded" for r in runs) else RUN_FAILED


def hint(output: Output) -> Callable[[Sequence[RunView]], None]:
    """Says where to learn why runs do not begin."""
    return lambda queued: output.note(f"Still queued; what it waits for: ganclinic why {queued[0].id}")


def _what_next(runs: Sequence[RunView]) -> str:
    batches = {r.batch_id for r in runs}
    if len(runs) > 1 and len(batches) == 1 and None not in batches:
        which = f" --batch {batches.pop()}"
    else:
        which = "".join(f" {r.id}" for r in runs)
    return f"  again: ganclinic watch{which}\n  end it: ganclinic cancel{which}"


def _outcome(run: RunView) -> Text:
    """One line: what became of it, and where to read on."""
    line = Text.assemble(f"{run.label} {run.status}")
    if run.status == "halted":
        line.append(f" after epoch {run.epochs_done} of {run.epochs_total}")
    if run.verdict and run.status in {"succeeded", "halted"}:
        line.append(": ").append_text(verdict_text(run.verdict))
        if run.severity not in (None, "none"):
            which = "with a mild finding" if run.severity == "mild" else run.severity
            line.append(f", {which}, first seen in epoch {run.first_epoch_seen}")
    elif run.error:
        line.append(f": {run.error}")
    return line.append(f"   (ganclinic show {run.id})", style="dim")
