"""What the API accepts of specs: requests for runs (a preset or a spec, plus dotted changes), and options."""

import json
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ganlib.spec.comparison import ComparisonSpec
from ganlib.spec.evaluation import UNPAIRED_MEASURES, Comparison, MeasureName
from ganlib.spec.limits import MAX_PRIORITY
from ganlib.spec.network_plugins import NetworkNotInstalled, NetworkUnavailable, Role, find_network, options_of
from ganlib.spec.networks import Discriminator, Generator, PluginDiscriminator, PluginGenerator
from ganlib.spec.part import Name
from ganlib.spec.patching import with_settings
from ganlib.spec.preset import get_preset
from ganlib.spec.run import RunSpec

MAX_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSamples:
    """A set of samples that is stored, or about to be."""

    sha256: str
    count: int
    shape: tuple[int, ...]
    """Of one sample."""


Document = dict[str, Any]
"""A spec that is not validated yet."""


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
    priority: int = Field(
        default=0, ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="Runs of a higher priority are claimed first."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.preset is None) == (self.spec is None):
            raise ValueError("preset: give either 'preset' or 'spec'")
        return self

    def resolve(self, complete: Callable[[Document], Document] | None = None) -> RunSpec:
        """The spec that this request asks for; `complete` fills in what only the service knows.

        Raises:
            InvalidRequest: with every field that is wrong.
        """
        try:
            base = self.spec if self.spec is not None else get_preset(str(self.preset)).spec.model_dump(mode="json")
            document = with_settings(base, self.set)
            spec = RunSpec.model_validate(document if complete is None else complete(document))
        except InvalidRequest:
            raise
        except ValidationError as error:
            raise InvalidRequest(problems_of(error)) from None
        except ValueError as error:  # UnknownPreset and with_settings name their field first
            raise InvalidRequest(dict([_named(str(error), "preset")])) from None
        if problems := _plugin_problems("generator", spec.generator) | _plugin_problems(
            "discriminator", spec.discriminator
        ):
            raise InvalidRequest(problems)
        return spec


class BatchRequest(BaseModel):
    """Many runs to make: all of them, or none where one is not valid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = Field(default=None, description="A name for people.")
    runs: list[RunRequest] = Field(min_length=1, max_length=MAX_BATCH)


class ComparisonOptions(Comparison):
    """How two uploaded sets of samples are compared."""

    measures: tuple[MeasureName, ...] = Field(default=UNPAIRED_MEASURES, min_length=1)
    """What is measured; by default all but `paired`. What the samples do not allow is left out."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seeds every choice that the measures make."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The options that a JSON object holds.

        Raises:
            InvalidRequest: with every field that is wrong, as `options.num_bins`.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            problems = problems_of(error, cls)
            raise InvalidRequest(
                {"options" if field == "spec" else f"options.{field}": problems[field] for field in problems}
            ) from None

    @classmethod
    def of(cls, spec: ComparisonSpec) -> Self:
        """The options that gave this spec."""
        return cls(**spec.comparison.model_dump(), seed=spec.seed)

    def spec(self, reals: StoredSamples, fakes: StoredSamples) -> ComparisonSpec:
        """The comparison of these samples, which have the same shape.

        Raises:
            InvalidRequest: they cannot be compared so; it names `real`, `fake` or a field of `options`.
        """
        comparison = Comparison.model_validate(self.model_dump(exclude={"seed"}))
        try:
            return ComparisonSpec(
                seed=self.seed,
                comparison=comparison,
                reals=reals.sha256,
                fakes=fakes.sha256,
                n_real=reals.count,
                n_fake=fakes.count,
                shape=reals.shape,
            )
        except ValidationError as error:
            problems = problems_of(error, ComparisonSpec)
            raise InvalidRequest({_uploaded(field): message for field, message in problems.items()}) from None


def _uploaded(field: str) -> str:
    """A field of a `ComparisonSpec`, as the request calls it."""
    first, dot, rest = field.partition(".")
    return {"comparison": "options", "n_real": "real", "n_fake": "fake"}.get(first, first) + dot + rest


def _plugin_problems(role: Role, part: Generator | Discriminator) -> dict[str, str]:
    """What is wrong with a plugin's options; nothing can be said where the plugin is not installed."""
    if not isinstance(part, PluginGenerator | PluginDiscriminator):
        return {}
    try:
        network = find_network(role, part)
    except NetworkNotInstalled:
        return {}
    except NetworkUnavailable as error:
        return dict([_named(str(error), role)])
    try:
        options_of(network, part)
    except ValidationError as error:
        return {f"{role}.options.{field}": text for field, text in problems_of(error, network.schema).items()}
    return {}


def problems_of(error: ValidationError, root: type[BaseModel] = RunSpec) -> dict[str, str]:
    """Field path → message, with union tags left out of the paths and the field named by the path alone.

    `root` is the model that was validated; what is wrong with all of it is called `spec`.
    """
    problems: dict[str, str] = {}
    for item in error.errors(include_url=False):
        message = item["msg"].removeprefix("Value error, ")
        path = ".".join(_without_tags(item["loc"], root))
        if item["type"] == "value_error":
            inner, message = _named(message, "")
            path = ".".join(p for p in (path, inner) if p)
        elif item["type"] == "extra_forbidden":
            message = _unknown_field(item["loc"], root)
        elif item["type"] == "union_tag_invalid":
            context = item.get("ctx", {})
            path = f"{path}.{str(context['discriminator']).strip(chr(39))}"
            message = f"'{context['tag']}' is not known; allowed: {context['expected_tags']}"
        elif item["type"] in ("tuple_type", "list_type"):
            message = f"is no list; write one, as in {json.dumps([item['input']], default=str):.80}"
        elif item["type"] != "missing":
            message = f"{message}, not {item['input']!r:.80}"
        problems[path or "spec"] = message
    return problems


def _named(message: str, default: str) -> tuple[str, str]:
    field, colon, text = message.partition(": ")
    return (field, text) if colon and " " not in field else (default, message)


def _without_tags(loc: tuple[int | str, ...], root: type[BaseModel]) -> list[str]:
    """The path without the names of union members, which pydantic puts after the field that holds the union."""
    return [str(part) for part, parent in _walk(loc, root) if parent is not None]


def _unknown_field(loc: tuple[int | str, ...], root: type[BaseModel]) -> str:
    owner = [parent for _, parent in _walk(loc, root)][-1]
    allowed = ", ".join(owner.model_fields) if owner is not None else ""
    return f"is not a field {'of the spec ' if root is RunSpec else ''}here; allowed: {allowed}"


def _walk(loc: tuple[int | str, ...], root: type[BaseModel]) -> list[tuple[int | str, type[BaseModel] | None]]:
    """Each path part with the model it is a field of; None for a union's tag."""
    walked: list[tuple[int | str, type[BaseModel] | None]] = []
    owner = root
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
        values = getattr(model.model_fields[field].annotation, "__args__", ()) if field in model.model_fields else ()
        if values:  # a plugin's `name` is any text: its `family` tells it apart
            return [str(v) for v in values]
    return []
