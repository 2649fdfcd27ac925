"""Everything that a spec can choose, as a document: `python -m ganlib.spec.reference > docs/spec-reference.md`.

It is made of the docstrings of the spec's parts, so that it cannot disagree with the code.
"""

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ganlib.spec.run import RunSpec

TAGS = ("name", "family", "kind")
HEAD = """# What a spec can say

Everything that a spec can choose, with formulas, defaults and sources. Generated from the code by
`python -m ganlib.spec.reference > docs/spec-reference.md`.

A spec is a document (TOML, YAML or JSON) with these parts. In a preset or spec any field is changed by its dotted path:
`ganclinic run digit8-stable --set training.epochs=3`. Where a part has several forms, its field `name`, `family` or
`kind` names the form, as the headings do. [remedies.md](remedies.md) has what remedies were seen to do.
"""


def reference_document() -> str:
    """The whole document, in Markdown."""
    own = {name: field for name, field in RunSpec.model_fields.items() if not _parts(field)}
    shared = _shared()
    sections = [_section(name, field, shared) for name, field in RunSpec.model_fields.items() if _parts(field)]
    named = [_named_parts(inner, [p for p in parts if p in shared]) for inner, parts in _inner_parts().items()]
    whole = [
        HEAD,
        *sections,
        "## Of the whole spec\n",
        *_table(own),
        "\n## Parts of several forms\n",
        *filter(None, named),
    ]
    return "\n".join(whole).rstrip() + "\n"


def _section(name: str, field: FieldInfo, shared: set[type[BaseModel]]) -> str:
    lines = [f"## `{name}`\n", _sentences(field.description) + "\n"]
    for part in _parts(field):
        tag = _tag(part)
        lines += [f"\n### `{tag}`\n" if tag else "", _sentences(inspect.getdoc(part)) + "\n", *_table(_own(part))]
        for inner, inner_field in _own(part).items():
            lines.append(_named_parts(inner, [option for option in _parts(inner_field) if option not in shared]))
    return "\n".join(filter(None, lines)) + "\n"


def _named_parts(name: str, parts: list[type[BaseModel]]) -> str:
    """What a field inside of a part can hold."""
    lines: list[str] = []
    for part in parts:
        title = f"`{name}`" + (f": `{_tag(part)}`" if _tag(part) else "")
        lines += [f"\n**{title}** {_sentences(inspect.getdoc(part))}\n", *_table(_own(part))]
    return "\n".join(lines)


def _inner_parts() -> dict[str, list[type[BaseModel]]]:
    """Name of a field inside of a part → what it can hold anywhere, each once."""
    found: dict[str, list[type[BaseModel]]] = {}
    for _, name, part in _owners():
        known = found.setdefault(name, [])
        if part not in known:
            known.append(part)
    return found


def _shared() -> set[type[BaseModel]]:
    """Parts that fields of several forms can hold."""
    owners: dict[type[BaseModel], set[type[BaseModel]]] = {}
    for owner, _, part in _owners():
        owners.setdefault(part, set()).add(owner)
    return {part for part, of in owners.items() if len(of) > 1}


def _owners() -> Iterator[tuple[type[BaseModel], str, type[BaseModel]]]:
    """Each form of each part of a spec, a field of it, and a part that this field can hold."""
    forms = [form for field in RunSpec.model_fields.values() for form in _parts(field)]
    for form in dict.fromkeys(forms):
        for name, field in _own(form).items():
            for part in _parts(field):
                yield form, name, part


def _own(part: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that a user chooses: all but the one that names the form."""
    return {name: field for name, field in part.model_fields.items() if name not in TAGS or not _is_tag(field)}


def _table(fields: dict[str, FieldInfo]) -> list[str]:
    if not fields:
        return []
    rows = [
        f"| `{name}` | {_default(field)} | {_allowed(field)} | {_sentences(field.description)} |"
        for name, field in fields.items()
    ]
    return ["| field | default | allowed | meaning |", "|---|---|---|---|", *rows]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "–"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return f"`{_tag(type(value)) or 'as below'}`"
    return f"`{json.dumps(value)}`".replace("|", "\\|")


def _allowed(field: FieldInfo) -> str:
    limits = [_limit(item) for item in [*field.metadata, *_metadata(field.annotation)]]
    return ", ".join([*_choices(field.annotation), *filter(None, limits)]) or " "


def _metadata(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        found = [m for item in metadata for m in getattr(item, "metadata", [item])]
        return [*found, *_metadata(inner)]
    if get_origin(annotation) in UNIONS:
        return [m for member in get_args(annotation) for m in _metadata(member)]
    return []


def _limit(item: Any) -> str:
    for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        bound = getattr(item, attribute, None)
        if bound is not None:
            return f"{sign} {bound:,}" if isinstance(bound, int) else f"{sign} {bound:g}"
    return ""


def _choices(annotation: Any) -> list[str]:
    """The words that a field takes, in themselves or as items."""
    if get_origin(annotation) is Literal:
        return [f"`{json.dumps(value)}`" for value in get_args(annotation)]
    return [choice for member in get_args(annotation) for choice in _choices(member)]


def _parts(field: FieldInfo) -> list[type[BaseModel]]:
    """The forms that a field's value can have, where these are parts of a spec."""
    return _models(field.annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for member in get_args(annotation) for model in _models(member)]


def _tag(part: type[BaseModel]) -> str | None:
    for name in TAGS:
        field = part.model_fields.get(name)
        if field is not None and _is_tag(field):
            return " | ".join(str(value) for value in get_args(field.annotation))
    return None


def _is_tag(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is Literal


def _sentences(text: str | None) -> str:
    """A docstring on one line."""
    return " ".join((text or "").split()).replace("|", "\\|")


UNIONS = (Union, type(int | str))


if __name__ == "__main__":
    sys.stdout.write(reference_document())
