"""The published experiments as spec files: `presets/<name>.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ganlib.spec.run import RunSpec


class UnknownPreset(ValueError):
    """No preset has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"preset: '{name}' is not known; allowed: {', '.join(preset_names())}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A published experiment."""

    name: str
    title: str
    reports: str
    """What the article reports; or what was measured here, where it gives no numbers."""
    deviations: tuple[str, ...]
    """Where this differs from the article, as far as known, and how it does what its title says."""
    spec: RunSpec


@cache
def preset_names() -> tuple[str, ...]:
    """All preset names, sorted."""
    files = resources.files("ganlib.spec").joinpath("presets").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


@cache
def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UnknownPreset: there is none; the message lists those that exist.
    """
    if name not in preset_names():
        raise UnknownPreset(name)
    text = resources.files("ganlib.spec").joinpath("presets", f"{name}.toml").read_text("utf-8")
    document = tomllib.loads(text)
    return Preset(
        name=name,
        title=document["title"],
        reports=document["reports"],
        deviations=tuple(document["deviations"]),
        spec=RunSpec.model_validate(document["spec"]),
    )
