"""A request for a run: a preset or a spec, plus dotted changes. What the API accepts and batch files hold."""

import types
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ganlib.preset import get_preset
from ganlib.spec import RunSpec, with_settings

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""A name for people: no control characters, which would reach their terminals."""


class InvalidRequest(ValueError):
    """The request does not give a valid spec; `problems` maps each field to what is wrong and what is allowed."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {text}" for field, text in problems.items()))
        self.problems = problems


class RunRequest(BaseModel):
    """One run to make: exactly one of `preset` and `spec`, and what to change in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str | None = Field(default=None, description="Name of a published experiment.")
    spec: dict[str, Any] | None = Field(default=None, description="A whole run spec.")
    set: dict[str, Any] = Field(
        default_factory=dict, max_length=200, description='Dotted paths and new values, e.g. {"training.epochs": 3}.'
    )
    name: Name | None = Field(default=None, description="A name for people.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.preset is None) == (self.spec is None):
            raise ValueError("preset: give either 'preset' or 'spec'")
        return self

    def resolve(self) -> RunSpec:
        """The spec that this request asks for.

        Raises:
            InvalidRequest: with every field that is wrong.
        """
        try:
            base = self.spec if self.spec is not None else get_preset(str(self.preset)).spec.model_dump(mode="json")
            return RunSpec.model_validate(with_settings(base, self.set))
        except ValidationError as error:
            raise InvalidRequest(problems_of(error)) from None
        except ValueError as error:  # UnknownPreset and with_settings name their field first
            raise InvalidRequest(dict([_named(str(error), "preset")])) from None


def problems_of(error: ValidationError) -> dict[str, str]:
    """Field path → message, with union tags left out of the paths and the field named by the path alone."""
    problems: dict[str, str] = {}
    for item in error.errors(include_url=False):
        message = item["msg"].removeprefix("Value error, ")
        path = ".".join(_without_tags(item["loc"]))
        if item["type"] == "value_error":
            inner, message = _named(message, "")
            path = ".".join(p for p in (path, inner) if p)
        elif item["type"] == "extra_forbidden":
            message = _unknown_field(item["loc"])
        elif item["type"] == "union_tag_invalid":
            context = item.get("ctx", {})
            path = f"{path}.{str(context['discriminator']).strip(chr(39))}"
            message = f"'{context['tag']}' is not known; allowed: {context['expected_tags']}"
        elif item["type"] != "missing":
            message = f"{message}, not {item['input']!r:.80}"
        problems[path or "spec"] = message
    return problems


def _named(message: str, default: str) -> tuple[str, str]:
    field, colon, text = message.partition(": ")
    return (field, text) if colon and " " not in field else (default, message)


def _without_tags(loc: tuple[int | str, ...]) -> list[str]:
    """The path without the names of union members, which pydantic puts after the field that holds the union."""
    return [str(part) for part, parent in _walk(loc) if parent is not None]


def _unknown_field(loc: tuple[int | str, ...]) -> str:
    owner = [parent for _, parent in _walk(loc)][-1]
    allowed = ", ".join(owner.model_fields) if owner is not None else ""
    return f"is not a field of the spec here; allowed: {allowed}"


def _walk(loc: tuple[int | str, ...]) -> list[tuple[int | str, type[BaseModel] | None]]:
    """Each path part with the model it is a field of; None for a union's tag."""
    walked: list[tuple[int | str, type[BaseModel] | None]] = []
    owner: type[BaseModel] = RunSpec
    members: dict[str, type[BaseModel]] = {}
    for part in loc:
        if str(part) in members:
            owner, members = members[str(part)], {}
            walked.append((part, None))
            continue
        walked.append((part, owner))
        field = owner.model_fields.get(str(part))
        models = _models(field.annotation) if field is not None else []
        members = {tag: m for m in models for tag in _tags(m)} if len(models) > 1 else {}
        if len(models) == 1:
            owner = models[0]
    return walked


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, type | types.NoneType):
        return []
    return [m for a in getattr(annotation, "__args__", ()) for m in _models(a)]


def _tags(model: type[BaseModel]) -> list[str]:
    """Values of the field that tells this member of a union from the others."""
    for field in ("name", "family", "kind"):
        if field in model.model_fields:
            return [str(v) for v in getattr(model.model_fields[field].annotation, "__args__", ())]
    return []
