"""`ganclinic diagnose`: the log of any trainer in, the same diagnosis out. No service is asked."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from ganclinic.cli.history_table import history_details
from ganclinic.cli.output import Output
from ganclinic.errors import InvalidInput
from ganclinic.foreign import Fakes, diagnose_each
from ganclinic.history_following import changes, growing
from ganlib.findings import SEVERITIES
from ganlib.foreign_logs.history import HistoryDiagnosis

OK, FOUND = 0, 1
STANDARD_INPUT = "-"
Found = dict[str, HistoryDiagnosis]
"""The diagnosis of each training by its name."""


def diagnose(output: Output, options: argparse.Namespace) -> int:
    """`ganclinic diagnose`: 1 where a finding is as severe as `--fail-on`."""
    if options.history.count(STANDARD_INPUT) and len(options.history) > 1:
        raise InvalidInput("Standard input, -, is one log: give no files beside it.")
    _columns(options.column)
    if options.follow:
        return _follow(output, options)
    piped = sys.stdin.buffer.read() if options.history == [STANDARD_INPUT] else None
    found = _diagnosed(options, piped)
    _write(output, options, found)
    return FOUND if _is_as_severe(found, options.fail_on) else OK


def _diagnosed(options: argparse.Namespace, piped: bytes | None) -> Found:
    return diagnose_each(
        options.history,
        fakes=_fakes(options.fakes),
        real=options.real,
        objective=options.objective,
        steps_per_epoch=options.steps_per_epoch,
        d_loss=options.d_loss,
        columns=_columns(options.column),
        tile=options.tile,
        standard_input=piped,
    )


def _write(output: Output, options: argparse.Namespace, found: Found) -> None:
    source = " ".join(options.history)
    if len(found) == 1:
        [(name, one)] = found.items()
        title = f"{source} {name}".strip()
        output.result({"history": source, "name": name, **one.to_json()}, history_details(title, one))
        return
    parts: list[RenderableType] = []
    for name, one in found.items():
        parts += [history_details(f"{source} {name}", one), Text()]
    document = {"history": source, "trainings": {name: one.to_json() for name, one in found.items()}}
    output.result(document, Group(*parts))


def _is_as_severe(found: Found, fail_on: str | None) -> bool:
    if fail_on is None:
        return False
    least = SEVERITIES.index(fail_on)
    return any(SEVERITIES.index(one.diagnosis.severity) >= least for one in found.values())


# --- growing logs -----------------------------------------------------------------------------------------------


def _follow(output: Output, options: argparse.Namespace) -> int:
    """Judges again as rows come; says when a verdict changes, and all of the last one at the end."""
    said: dict[str, str] = {}
    found: Found | None = None
    error = "there was nothing to read"
    try:
        for piped in _looks(options):
            try:
                found = _diagnosed(options, piped)
            except InvalidInput as refused:  # of a log that has just begun
                error = str(refused)
                continue
            for name, one in found.items():
                words = _verdict_words(one)
                if said.get(name) != words:
                    _say_change(output, name, said.get(name), one)
                    said[name] = words
            if _is_as_severe(found, options.fail_on):
                break
    except KeyboardInterrupt:  # the usual end of a log that goes on
        output.note("stopped")
    if found is None:
        raise InvalidInput(error)
    _write(output, options, found)
    return FOUND if _is_as_severe(found, options.fail_on) else OK


def _looks(options: argparse.Namespace) -> Iterator[bytes | None]:
    if options.history == [STANDARD_INPUT]:
        yield from growing(sys.stdin.buffer, idle_s=options.idle)
        return
    paths = [Path(path) for path in options.history]
    yield from (None for _ in changes(paths, idle_s=options.idle))


def _verdict_words(one: HistoryDiagnosis) -> str:
    diagnosis = one.diagnosis
    finding = f" ({diagnosis.findings[0].name}, {diagnosis.severity})" if diagnosis.findings else ""
    return f"{diagnosis.verdict}{finding}"


def _say_change(output: Output, name: str, before: str | None, one: HistoryDiagnosis) -> None:
    rows = len(one.reading.history.steps)
    change = f"{before} → {_verdict_words(one)}" if before else _verdict_words(one)
    output.note(f"{f'{name}: ' if name else ''}after {rows:,} rows: {change}. {one.diagnosis.reason}")


# --- options ----------------------------------------------------------------------------------------------------


def _columns(given: Sequence[str]) -> dict[str, str]:
    """Signal → the name of its column."""
    found: dict[str, str] = {}
    for text in given:
        signal, equals, name = text.partition("=")
        if not equals or not signal.strip() or not name.strip():
            raise InvalidInput(f"--column {text}: write SIGNAL=NAME, as in --column d_loss=LossD.")
        if signal.strip() in found:
            raise InvalidInput(f"--column {text}: {signal.strip()} is '{found[signal.strip()]}' already; give it once.")
        found[signal.strip()] = name.strip()
    return found


def _fakes(given: Sequence[str]) -> Fakes | None:
    """One file, or several of an epoch each."""
    if len(given) == 1 and not _epoch(given[0]):
        return given[0]
    found: dict[int, str] = {}
    for text in given:
        epoch = _epoch(text)
        if not epoch or int(epoch) in found:
            raise InvalidInput(
                f"--fakes {text}: each of several files needs an epoch of its own, as in --fakes 3=FILE."
            )
        found[int(epoch)] = text.partition("=")[2]
    return found or None


def _epoch(text: str) -> str:
    """The digits before `=`; empty where there are none."""
    epoch, equals, _ = text.partition("=")
    return epoch if equals and epoch.isdecimal() else ""
