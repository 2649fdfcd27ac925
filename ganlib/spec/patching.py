"""Dotted changes of a spec document. Imports no torch."""

import json
from copy import deepcopy
from typing import Any, cast


def with_settings(document: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A copy of a spec document with dotted paths set, e.g. {"training.epochs": 3}.

    Raises:
        ValueError: a path leads through something that is not an object.
    """
    changed: dict[str, Any] = json.loads(json.dumps(document))
    for path, value in settings.items():
        *parents, last = path.split(".")
        part = changed
        for key in parents:
            inner = part.setdefault(key, {})
            if inner is None:
                inner = part[key] = {}
            if not isinstance(inner, dict):
                raise ValueError(f"{path}: '{key}' is not an object that has fields")
            part = cast("dict[str, Any]", inner)
        part[last] = deepcopy(value)  # a later path may lead into it
    return changed
