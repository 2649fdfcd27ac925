"""`ganclinic rediagnose`: stored runs, judged by the rules of the service's version."""

import argparse

from rich.console import Group
from rich.text import Text

from ganclinic.cli.output import Output
from ganclinic.cli.words import verdict_text
from ganclinic.client import Client
from ganclinic.errors import Conflict, NotFound
from ganlib.diagnosis.verdict import Diagnosis

OK = 0
LEFT_OUT = 1


def rediagnose(client: Client, output: Output, options: argparse.Namespace) -> int:
    """`ganclinic rediagnose`: goes on where a run cannot be diagnosed, and exits with 1 then."""
    documents: list[dict[str, object]] = []
    lines: list[Text] = []
    for run_id in options.runs:
        try:
            before, now = client.diagnosis(run_id), client.rediagnose(run_id)
        except (Conflict, NotFound) as error:
            output.error(str(error))
            continue
        documents.append({"run": run_id, "before": before.to_json(), "diagnosis": now.to_json()})
        lines.append(_line(run_id, before, now))
    if documents or output.as_json:
        output.result(documents, Group(*lines))
    return OK if len(documents) == len(options.runs) else LEFT_OUT


def _line(run_id: str, before: Diagnosis, now: Diagnosis) -> Text:
    """`00aa  mode collapse, severe (ruleset 2); before: healthy (ruleset 1)`."""
    line = Text.assemble(f"{run_id}  ", _words(now))
    if before.ruleset == now.ruleset:
        return line.append(", as before")
    return line.append("; before: ").append_text(_words(before))


def _words(diagnosis: Diagnosis) -> Text:
    severity = "" if diagnosis.severity == "none" else f", {diagnosis.severity}"
    return Text.assemble(verdict_text(diagnosis.verdict), f"{severity} (ruleset {diagnosis.ruleset})")
