"""`ganclinic demo`: from nothing to three verdicts on real digits."""

import argparse
import contextlib
import signal

from ganclinic.cli.bars import display_for
from ganclinic.cli.demo_table import demo_table, shown_path
from ganclinic.cli.output import Output
from ganclinic.client import Client
from ganclinic.config import ConfigSources, find_home, program_name
from ganclinic.demo import collect, demo_requests
from ganclinic.errors import GanClinicError
from ganclinic.service.background import some_service
from ganclinic.service.home import make_home
from ganclinic.views import BatchView


def demo(output: Output, options: argparse.Namespace, around: ConfigSources) -> int:
    """Runs the demo's batch; 0 only if all its runs succeeded."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us ends what we started
    home = find_home(around)
    make_home(home)
    with some_service(around, options.url, options.token, output.note) as client:
        batch = train(client, output)
        outcomes = collect(client, batch.runs, home)
    if output.as_json:
        output.json([outcome.to_json() for outcome in outcomes])
    else:
        output.show(demo_table(outcomes, output.results.width, around.cwd))
        program = program_name(around)
        output.note(f"The same as JSON: {shown_path(home / 'demo.json', around.cwd)}")
        output.note(f"The same in a browser: {program} up, and in another terminal: {program} open")
    return 0 if all(run.status == "succeeded" for run in batch.runs) else 1


def train(client: Client, output: Output) -> BatchView:
    """Queues the batch and shows its progress until it is over; Ctrl-C cancels it."""
    name, requests = demo_requests()
    batch = client.create_batch(requests, name=name)
    try:
        with display_for(output) as display:
            for seen in client.watch_batch(batch.id):
                batch = seen
                display.update(batch.runs)
    except KeyboardInterrupt:
        output.note("Cancelling the demo's runs …")
        for run in batch.runs:
            with contextlib.suppress(GanClinicError):  # the service may be ending too
                client.cancel(run.id)
        raise
    return batch
