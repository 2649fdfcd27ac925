"""The verb about what a run logs: logs."""

import argparse
import json
from itertools import chain

from ganclinic.cli.output import Output
from ganclinic.client import Client

OK = 0
KNOWN_FIELDS = ("time", "level", "logger")
"""Of a line that a service with GANCLINIC_LOG_FORMAT=json has logged, before what is on every line."""


def logs(client: Client, output: Output, options: argparse.Namespace) -> int:
    if not options.follow:
        log = client.log(options.run, attempt=options.attempt, tail=options.tail)
        document = {"run_id": options.run, "attempt": log.attempt, "lines": log.text.splitlines()}
        if output.as_json:
            output.json(document)
        else:
            _write(output, log.text)
        return OK
    for text in client.follow_log(options.run, attempt=options.attempt, tail=options.tail):
        if output.as_json:
            output.results.file.writelines(json.dumps({"line": line}) + "\n" for line in text.splitlines())
            output.results.file.flush()
        else:
            _write(output, text)
    return OK


def _write(output: Output, text: str) -> None:
    """Line by line and at once; a terminal is never given what could steer it."""
    output.results.file.writelines(f"{for_people(line)}\n" for line in text.splitlines())
    output.results.file.flush()


def for_people(line: str) -> str:
    """A line of the log as text, also where it is JSON, with control characters spelt out."""
    return "".join(
        letter if letter.isprintable() or letter == "\t" else ascii(letter)[1:-1] for letter in _as_text(line)
    )


def _as_text(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        record = json.loads(line)
        parts = [str(record.pop(name)) for name in KNOWN_FIELDS]
        message, traceback = str(record.pop("message")), record.pop("traceback", None)
    except (ValueError, KeyError, RecursionError):
        return line
    pairs = (f"{name}={value}" for name, value in record.items())
    return " ".join(chain(parts, pairs, [message])) + (f" {str(traceback).splitlines()[-1]}" if traceback else "")
