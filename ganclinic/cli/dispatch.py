"""From a verb to what it does, by table; errors as one friendly line with a useful exit status."""

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import cast

from ganclinic.cli.output import Output
from ganclinic.client import Client
from ganclinic.config import ConfigSources, find_service
from ganclinic.errors import GanClinicError, StartFailed

INTERRUPTED = 130  # as shells count: 128 + SIGINT
PIPE_CLOSED = 141  # 128 + SIGPIPE

Connect = Callable[[str, str | None], Client]
ClientVerb = Callable[[Client, Output, argparse.Namespace], int]
LocalVerb = Callable[[Output, argparse.Namespace], int]
ServerVerb = Callable[[Output, argparse.Namespace, ConfigSources], int]

CLIENT_VERBS: dict[str, str] = {
    "run": "new_runs.run",
    "batch": "new_runs.batch",
    "sweep": "sweeps.sweep",
    "results": "results.results",
    "ls": "runs.ls",
    "show": "runs.show",
    "logs": "logs.logs",
    "download": "downloads.download",
    "watch": "new_runs.watch",
    "events": "events.events",
    "tag": "runs.tag",
    "cancel": "runs.cancel",
    "rm": "runs.rm",
    "treat": "treatments.treat",
    "family": "treatments.family",
    "rediagnose": "rediagnose.rediagnose",
    "dispute": "labels.dispute",
    "labels": "labels.labels",
    "compare": "comparisons.compare",
    "comparisons": "comparisons.comparisons",
    "pause": "scheduling.pause",
    "resume": "scheduling.resume",
    "extend": "scheduling.extend",
    "why": "scheduling.why",
    "workers": "scheduling.workers",
    "drain": "scheduling.drain",
    "upload": "uploads.upload",
    "uploads": "uploads.uploads",
    "webhooks": "webhooks.webhooks",
    "sync": "syncing.sync",
}
"""Verbs that ask a service: where their function is, below `ganclinic.cli`. It is imported when it is called."""
LOCAL_VERBS: dict[str, str] = {
    "diagnose": "histories.diagnose",
    "formats": "log_formats.formats",
    "presets": "presets.presets",
    "token": "scheduling.token",
}
"""Verbs that ask no service."""
SERVER_VERBS: dict[str, str] = {
    "up": "servers.up",
    "api": "servers.api",
    "worker": "servers.worker",
    "demo": "demo.demo",
    "open": "pages.open_pages",
}
"""Verbs that start servers, which needs a Unix system; using them does not."""


def run_verb(options: argparse.Namespace, around: ConfigSources | None, connect: Connect | None) -> int:
    """Runs the command that the options ask for; returns its exit status."""
    output = Output.standard(as_json=getattr(options, "json", False))
    try:
        return _dispatch(output, options, around or ConfigSources.real(), connect or Client)
    except GanClinicError as error:
        output.error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as in `ganclinic ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _dispatch(output: Output, options: argparse.Namespace, around: ConfigSources, connect: Connect) -> int:
    if options.verb in CLIENT_VERBS:
        ask = cast("ClientVerb", _function(CLIENT_VERBS[options.verb]))
        address = find_service(around, url=options.url, token=options.token)
        with connect(address.url, address.token) as client:
            return ask(client, output, options)
    if options.verb in LOCAL_VERBS:
        return cast("LocalVerb", _function(LOCAL_VERBS[options.verb]))(output, options)
    if sys.platform == "win32":
        raise StartFailed("The service runs on Linux and macOS. Use one that runs elsewhere with --url and --token.")
    return cast("ServerVerb", _function(SERVER_VERBS[options.verb]))(output, options, around)


def _function(path: str) -> Callable[..., int]:
    module, _, name = path.partition(".")
    return getattr(import_module(f"ganclinic.cli.{module}"), name)
