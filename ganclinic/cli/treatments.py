"""`ganclinic treat` and `ganclinic family`: from a sick run towards a cure, and the runs that come of it."""

import argparse

from ganclinic.cli.bars import display_for
from ganclinic.cli.family_table import family_table
from ganclinic.cli.output import Output
from ganclinic.client import Client
from ganclinic.views import TreatmentView

OK = 0
NOT_CURED = 1


def treat(client: Client, output: Output, options: argparse.Namespace) -> int:
    made = client.treat(options.run, finding=options.finding, max_tries=options.tries, max_epochs=options.epochs)
    if options.wait:
        return _wait(client, output, made)
    output.result(made.to_json(), made.id)
    first = made.tries[0]
    output.note(f"Tries '{first.remedy}' against {made.finding}. How it goes: ganclinic family {made.run_id}")
    return OK


def _wait(client: Client, output: Output, treatment: TreatmentView) -> int:
    """Shows the tries until the treatment is over, then the whole family; 0 only for a cure."""
    try:
        with display_for(output) as display:
            for seen in client.watch_treatment(treatment.id):
                treatment = seen
                display.update(treatment.tries)
    except KeyboardInterrupt:
        last = treatment.tries[-1]
        output.note(
            f"Stopped watching; it goes on.\n  again: ganclinic family {treatment.run_id}\n"
            f"  end it: ganclinic cancel {last.id}"
        )
        raise
    if output.as_json:
        output.json(treatment.to_json())
    else:
        output.show(family_table(client.family(treatment.run_id), output.results.width))
        output.note(_outcome(treatment))
    return OK if treatment.status == "cured" else NOT_CURED


def _outcome(treatment: TreatmentView) -> str:
    """One line: what became of it, and where to read on."""
    words = {"cured": "Cured", "exhausted": "Not cured", "cancelled": "Cancelled"}
    line = words.get(treatment.status, treatment.status) + (f": {treatment.reason}." if treatment.reason else ".")
    if treatment.best_run_id is None:
        return line
    which = "The cure" if treatment.status == "cured" else "The best try"
    return f"{line} {which}: ganclinic show {treatment.best_run_id}"


def family(client: Client, output: Output, options: argparse.Namespace) -> int:
    members = client.family(options.run)
    documents = [member.to_json() for member in members]
    output.result(documents, family_table(members, output.results.width))
    return OK
