"""`ganclinic diagnose`: the log of any trainer in, the same diagnosis out. No service is asked."""

import argparse
from collections.abc import Sequence

from ganclinic.cli.output import Output
from ganclinic.cli.tables import history_details
from ganclinic.errors import InvalidInput
from ganclinic.foreign import Fakes
from ganclinic.foreign import diagnose as diagnose_history


def diagnose(output: Output, options: argparse.Namespace) -> int:
    """`ganclinic diagnose`."""
    found = diagnose_history(
        options.history,
        fakes=_fakes(options.fakes),
        real=options.real,
        objective=options.objective,
        steps_per_epoch=options.steps_per_epoch,
        d_loss=options.d_loss,
    )
    output.result({"history": options.history, **found.to_json()}, history_details(options.history, found))
    return 0


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
