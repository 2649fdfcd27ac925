"""What the API accepts of specs: requests for runs (a preset or a spec, plus dotted changes), and options."""

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
from ganlib.spec.problems import in_words, named, problems_of
from ganlib.spec.run import RunSpec
from ganlib.spec.tags import RunTags

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
        super().__init__(in_words(problems))
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
    tags: RunTags = Field(default=(), description="Words to find the run by.")
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
            raise InvalidRequest(problems_of(error, RunSpec)) from None
        except ValueError as error:  # UnknownPreset and with_settings name their field first
            raise InvalidRequest(dict([named(str(error), "preset")])) from None
        if problems := _plugin_problems("generator", spec.generator) | _plugin_problems(
            "discriminator", spec.discriminator
        ):
            raise InvalidRequest(problems)
        return spec


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
            problems = problems_of(error, cls, whole="")
            raise InvalidRequest(
                {f"options.{field}".removesuffix("."): message for field, message in problems.items()}
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
        return dict([named(str(error), role)])
    try:
        options_of(network, part)
    except ValidationError as error:
        return {f"{role}.options.{field}": text for field, text in problems_of(error, network.schema).items()}
    return {}
