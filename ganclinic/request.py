"""From what people write (preset names, files, `--set` options) to run requests."""

import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from pydantic import ValidationError

from ganclinic.assignments import parse_settings
from ganclinic.errors import InvalidInput
from ganlib.spec.problems import in_words, problems_of
from ganlib.spec.request import RunRequest

if TYPE_CHECKING:
    from ganlib.spec.sweep import Sweep

READERS: dict[str, Callable[[str], Any]] = {
    ".toml": tomllib.loads,
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
    ".json": json.loads,
}
PRESET_NOTES = frozenset({"title", "reports", "deviations"})
"""What a preset's own file holds besides its spec: such a file may be copied, changed and run."""


SPEC_FIELDS = "it needs the fields of a spec, or `preset` and `set`"
BATCH_FIELDS = 'it needs a list `runs`, as in {"runs": [{"preset": "digit8-stable"}]}, in TOML one [[runs]] for each'


SWEEP_FIELDS = (
    'it needs `base` and `vary`, as in {"base": {"preset": "digit8-stable"}, "vary": {"optimizer.beta1": [0, 0.5]}}'
)


def read_document(file: Path, needs: str = SPEC_FIELDS) -> dict[str, Any]:
    """The object in a TOML, YAML or JSON file; `needs` says what it should hold.

    Raises:
        InvalidInput: it cannot be read; the message says why.
    """
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{file} is no file that holds a spec: its name has to end with {', '.join(READERS)}.")
    try:
        document = reader(file.read_text("utf-8"))
        json.dumps(document, allow_nan=False, default=str)
    except FileNotFoundError:
        raise InvalidInput(
            f"There is no file {file}. For a preset leave out the ending; `ganclinic presets` lists them."
        ) from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, yaml.YAMLError) as error:  # both decode errors are ValueErrors
        raise InvalidInput(f"{file} is not valid {file.suffix[1:].upper()}: {error}") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{file} holds no object: {needs}.")
    return {str(key): value for key, value in cast("dict[Any, Any]", document).items()}


def request_from(
    source: str,
    settings: Sequence[str] = (),
    name: str | None = None,
    priority: int | None = None,
    tags: Sequence[str] = (),
) -> RunRequest:
    """The request for a preset's name, or for a file that holds a spec or a request.

    What is given here counts instead of what a file says.

    Raises:
        InvalidInput: the file or a setting cannot be understood.
    """
    document = _document_of(source)
    document["set"] = {**(document.get("set") or {}), **parse_settings(settings)}
    if name is not None:
        document["name"] = name
    if priority is not None:
        document["priority"] = priority
    if tags:
        document["tags"] = list(tags)
    return _request(document, source)


def batch_from(file: Path, priority: int | None = None) -> tuple[str | None, list[RunRequest]]:
    """Name and requests of a batch file: `[[runs]]` with `preset` or `spec`, `set`, `name` and `priority` each.

    A priority that is given here is that of every run.

    Raises:
        InvalidInput: it cannot be understood.
    """
    name, requests = _batch(read_document(file, BATCH_FIELDS), str(file))
    if priority is not None:
        requests = [request.model_copy(update={"priority": priority}) for request in requests]
    return name, requests


def sweep_from(file: Path, priority: int | None = None) -> tuple[str | None, "Sweep"]:
    """Name and sweep of a file: `base` with `preset` or `spec`, `vary`, and what else a sweep may say.

    A priority that is given here is that of every run.

    Raises:
        InvalidInput: it cannot be understood.
    """
    from ganlib.spec.sweep import Sweep  # with it comes numpy, which other verbs do not wait for

    document = read_document(file, SWEEP_FIELDS)
    name = document.pop("name", None)
    if priority is not None and isinstance(document.get("base"), dict):
        document["base"]["priority"] = priority
    try:
        return (None if name is None else str(name)), Sweep.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(f"{file}: {in_words(problems_of(error, Sweep, whole=''))}.") from None


def batch_from_toml(text: str) -> tuple[str | None, list[RunRequest]]:
    """Name and requests of a batch file's text."""
    return _batch(tomllib.loads(text), "the batch")


def _document_of(source: str) -> dict[str, Any]:
    file = Path(source)
    if file.suffix.lower() not in READERS and not file.is_file():
        return {"preset": source}
    document = read_document(file)
    if "spec" in document:
        return {key: value for key, value in document.items() if key not in PRESET_NOTES}
    return document if "preset" in document else {"spec": document}


def _batch(document: dict[str, Any], source: str) -> tuple[str | None, list[RunRequest]]:
    runs = document.get("runs")
    if not isinstance(runs, list) or not runs:
        raise InvalidInput(f"{source} holds no runs: {BATCH_FIELDS}.")
    unknown = sorted(set(document) - {"name", "runs"})
    if unknown:
        raise InvalidInput(f"{source}: '{unknown[0]}' is not a field of a batch; allowed: name, runs.")
    name = document.get("name")
    requests = [_request(run, f"{source}, runs[{index}]") for index, run in enumerate(cast("list[Any]", runs))]
    return (str(name) if name is not None else None), requests


def _request(document: Any, source: str) -> RunRequest:
    try:
        return RunRequest.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(f"{source}: {in_words(problems_of(error, RunRequest, whole=''))}.") from None
