"""The verbs that start servers: up, api, worker. Needs Linux or macOS."""

import argparse
import os
import sys
from typing import NoReturn

from ganclinic.cli.output import Output
from ganclinic.config import ConfigSources, find_home
from ganclinic.service.checkout import find_checkout, require_packages
from ganclinic.service.children import Stop
from ganclinic.service.plan import options_from, server_environ
from ganclinic.service.up import run_service


def up(output: Output, options: argparse.Namespace, around: ConfigSources) -> int:
    """`ganclinic up`: until Ctrl-C."""
    chosen = options_from(around, host=options.host, port=options.port, workers=options.workers)
    with Stop().on_signals() as stop:
        run_service(around, chosen, output.note, stop)
    return 0


def api(output: Output, options: argparse.Namespace, around: ConfigSources) -> NoReturn:
    """`ganclinic api`: becomes the API server."""
    given = {"HOST": options.host, "PORT": options.port}
    _become(around, "api", [], {f"GANCLINIC_{name}": str(value) for name, value in given.items() if value is not None})


def worker(output: Output, options: argparse.Namespace, around: ConfigSources) -> NoReturn:
    """`ganclinic worker`: becomes a worker."""
    given = {
        "--device": options.device,
        "--gpus": options.gpus,
        "--slots-per-gpu": options.slots_per_gpu,
        "--name": options.name,
    }
    arguments = [part for name, value in given.items() if value for part in (name, str(value))]
    _become(around, "worker", arguments + [f"--label={label}" for label in options.labels or ()], {})


def _become(around: ConfigSources, module: str, arguments: list[str], environ: dict[str, str]) -> NoReturn:
    """Replaces this process, so that signals reach the server itself."""
    checkout = find_checkout(around.cwd)
    require_packages()
    environment = server_environ(around, checkout, find_home(around)) | environ
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment)  # noqa: S606  a fixed command
