"""`ganclinic download`: what a run has recorded, as a file."""

import argparse
from pathlib import Path

from ganclinic.cli.output import Output
from ganclinic.client import Client
from ganclinic.verbs.records import DOWNLOADS

OK = 0


def download(client: Client, output: Output, options: argparse.Namespace) -> int:
    file = Path(options.to or f"{options.run}-{DOWNLOADS[options.what]}")
    client.download(options.run, options.what, file)
    output.result({"file": str(file), "bytes": file.stat().st_size}, str(file))
    return OK
