"""What pydantic finds wrong, in words: each field with what is wrong and what is allowed. Used by all who validate."""

import json
import types
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Model = type[BaseModel]
Location = tuple[int | str, ...]


def problems_of(
    error: ValidationError, root: Model | None = None, *, whole: str = "spec", show_input: bool = True
) -> dict[str, str]:
    """Field path → message; `whole` is the name of what is wrong with all of it.

    `root` is the model that was validated: with it the tags of unions are left out of the paths, and the fields that
    are allowed are named. Without `show_input` no message holds what was given, which may be a secret.
    """
    items = error.errors(include_url=False, include_input=show_input)
    return dict(problem_of(dict(item), root, whole) for item in items)


def problem_of(item: Mapping[str, Any], root: Model | None = None, whole: str = "spec") -> tuple[str, str]:
    """Field path and message of one of pydantic's errors."""
    location, kind = item["loc"], item["type"]
    walked = [(part, root) for part in location] if root is None else _walk(location, root)
    parts = list(location) if root is None else [part for part, parent in walked if parent is not None]
    message = str(item["msg"]).removeprefix("Value error, ")
    match kind:
        case "value_error":  # ours: a field inside of this one is named first
            inner, message = named(message, "")
            parts += [inner] if inner else []
        case "extra_forbidden":
            owner = walked[-1][1]
            allowed = "" if owner is None else f"; allowed: {', '.join(owner.model_fields)}"
            of_spec = "of the spec " if root is not None and root.__name__ == "RunSpec" else ""
            message = f"is not a field {of_spec}here{allowed}"
        case "union_tag_invalid":
            context = item["ctx"]
            parts.append(str(context["discriminator"]).strip("'"))
            message = f"'{context['tag']}' is not known; allowed: {context['expected_tags']}"
        case "tuple_type" | "list_type" if "input" in item:
            message = f"is no list; write one, as in {json.dumps([item['input']], default=str):.80}"
        case "missing" | "too_long" | "too_short":
            pass
        case _ if "input" in item:
            message = f"{message}, not {item['input']!r:.80}"
        case _:
            pass
    return field_path(parts) or whole, message


def in_words(problems: Mapping[str, str]) -> str:
    """`field: message; field: message`, on one line."""
    return "; ".join(f"{field}: {message}" if field else message for field, message in problems.items())


def named(message: str, default: str) -> tuple[str, str]:
    """The field that a message names first, or the default, and the rest of the message."""
    field, colon, text = message.partition(": ")
    return (field, text) if colon and " " not in field else (default, message)


def field_path(parts: Iterable[int | str]) -> str:
    """`("runs", 3, "name")` as `runs[3].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _walk(location: Location, root: Model) -> list[tuple[int | str, Model | None]]:
    """Each path part with the model it is a field of; None for a union's tag, which pydantic puts after the field."""
    walked: list[tuple[int | str, Model | None]] = []
    owner, members = root, dict[str, Model]()
    for part in location:
        if str(part) in members:
            owner, members = members[str(part)], {}
            walked.append((part, None))
            continue
        walked.append((part, owner))
        field = owner.model_fields.get(str(part))
        models = _models(field.annotation) if field is not None else []
        members = {tag: model for model in models for tag in _tags(model)} if len(models) > 1 else {}
        if len(models) == 1:
            owner = models[0]
    return walked


def _models(annotation: Any) -> list[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, type | types.NoneType):
        return []
    return [m for a in getattr(annotation, "__args__", ()) for m in _models(a)]


def _tags(model: Model) -> list[str]:
    """Values of the field that tells this member of a union from the others."""
    for field in ("name", "family", "kind"):
        values = getattr(model.model_fields[field].annotation, "__args__", ()) if field in model.model_fields else ()
        if values:  # a plugin's `name` is any text: its `family` tells it apart
            return [str(v) for v in values]
    return []
