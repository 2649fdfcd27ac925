"""The command line: dispatch by table, and errors as one friendly line with a useful exit status."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from ganclinic.cli import (
    comparisons,
    histories,
    labels,
    log_formats,
    logs,
    presets,
    rediagnose,
    runs,
    scheduling,
    treatments,
    uploads,
)
from ganclinic.cli.output import Output
from ganclinic.cli.parser import make_parser
from ganclinic.client import Client
from ganclinic.config import ConfigSources, find_service
from ganclinic.errors import GanClinicError, StartFailed

INTERRUPTED = 130  # as shells count: 128 + SIGINT
PIPE_CLOSED = 141  # 128 + SIGPIPE

ClientVerb = Callable[[Client, Output, argparse.Namespace], int]
LocalVerb = Callable[[Output, argparse.Namespace], int]
ServerVerb = Callable[[Output, argparse.Namespace, ConfigSources], int]

CLIENT_VERBS: dict[str, ClientVerb] = {
    "run": runs.run,
    "batch": runs.batch,
    "ls": runs.ls,
    "show": runs.show,
    "logs": logs.logs,
    "watch": runs.watch,
    "cancel": runs.cancel,
    "rm": runs.rm,
    "treat": treatments.treat,
    "family": treatments.family,
    "rediagnose": rediagnose.rediagnose,
    "dispute": labels.dispute,
    "labels": labels.labels,
    "compare": comparisons.compare,
    "comparisons": comparisons.comparisons,
    "pause": scheduling.pause,
    "resume": scheduling.resume,
    "extend": scheduling.extend,
    "why": scheduling.why,
    "workers": scheduling.workers,
    "drain": scheduling.drain,
    "upload": uploads.upload,
    "uploads": uploads.uploads,
}
LOCAL_VERBS: dict[str, LocalVerb] = {
    "diagnose": histories.diagnose,
    "formats": log_formats.formats,
    "presets": presets.presets,
    "token": scheduling.token,
}
"""Verbs that ask no service."""


def main(
    argv: Sequence[str] | None = None,
    *,
    around: ConfigSources | None = None,
    connect: Callable[[str, str | None], Client] = Client,
) -> int:
    """Runs one command; returns its exit status. `around` and `connect` are for tests."""
    options = make_parser().parse_args(argv)
    output = Output.standard(as_json=getattr(options, "json", False))
    try:
        return _dispatch(output, options, around or ConfigSources.real(), connect)
    except GanClinicError as error:
        output.error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as in `ganclinic ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _dispatch(
    output: Output, options: argparse.Namespace, around: ConfigSources, connect: Callable[[str, str | None], Client]
) -> int:
    if options.verb in CLIENT_VERBS:
        address = find_service(around, url=options.url, token=options.token)
        with connect(address.url, address.token) as client:
            return CLIENT_VERBS[options.verb](client, output, options)
    if options.verb in LOCAL_VERBS:
        return LOCAL_VERBS[options.verb](output, options)
    return _server_verbs()[options.verb](output, options, around)


def _server_verbs() -> dict[str, ServerVerb]:
    """Imported late: starting servers needs a Unix system, using them does not."""
    if sys.platform == "win32":
        raise StartFailed("The service runs on Linux and macOS. Use one that runs elsewhere with --url and --token.")
    from ganclinic.cli import demo, servers

    return {"up": servers.up, "api": servers.api, "worker": servers.worker, "demo": demo.demo}
