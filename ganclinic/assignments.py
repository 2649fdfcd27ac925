"""`--set path=value`, as people write it."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from ganclinic.errors import InvalidInput


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`["training.epochs=3"]` as `{"training.epochs": 3}`: values are JSON, and what is no JSON is a string.

    Raises:
        InvalidInput: one has no `=`.
    """
    parsed: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals or not path.strip():
            raise InvalidInput(f"--set {setting}: write it as path=value, as in --set training.epochs=3.")
        parsed[path.strip()] = _value(value.strip())
    return parsed


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON; as text the service refuses them by name
