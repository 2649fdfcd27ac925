"""The verb that makes the runs of a sweep: sweep."""

import argparse
from pathlib import Path
from typing import Any

from ganclinic.cli.new_runs import hint, watch_until_over
from ganclinic.cli.output import Output
from ganclinic.client import Client
from ganclinic.errors import InvalidInput
from ganclinic.request import sweep_from
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.sweep import Sweep

OK = 0
MOST_PROBLEMS = 20


def sweep(client: Client, output: Output, options: argparse.Namespace) -> int:
    name, found = sweep_from(Path(options.file), options.priority)
    if options.dry_run:
        return _list(output, found)
    made = client.sweep(found, name=options.name or name)
    if options.watch:
        return watch_until_over(output, (seen.runs for seen in client.watch_batch(made.id, when_waiting=hint(output))))
    output.result(made.to_json(), made.id)
    output.note(
        f"Queued {len(made.runs)} runs. Look at them: ganclinic ls --batch {made.id}   "
        f"What came of them: ganclinic results {made.id}"
    )
    return OK


def _list(output: Output, found: Sweep) -> int:
    """The specs, checked as far as that is possible without the service, which knows what was uploaded."""
    requests = found.requests()
    problems: list[str] = []
    documents: list[dict[str, Any]] = []
    for index, request in enumerate(requests):
        try:
            documents.append({"name": request.name, "spec": _spec_of(request)})
        except InvalidRequest as error:
            problems += [f"runs[{index}].{field}: {text}" for field, text in error.problems.items()]
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        raise InvalidInput("; ".join(problems[:MOST_PROBLEMS]))
    output.result(documents, "\n".join(str(request.name) for request in requests))
    output.note(f"These {len(requests)} runs would be queued.")
    return OK


def _spec_of(request: RunRequest) -> dict[str, Any]:
    """The whole spec; of an upload, whose shape only the service knows, what is asked for."""
    try:
        return request.resolve().model_dump(mode="json")
    except InvalidRequest as error:
        if request.spec is not None and all(field.startswith("dataset") for field in error.problems):
            dataset: Any = request.spec.get("dataset")
            if isinstance(dataset, dict) and "upload" in dataset:
                return {**request.spec, **request.set}
        raise
