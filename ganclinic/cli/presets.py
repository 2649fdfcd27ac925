"""`ganclinic presets`: the published experiments. They come with the client, so no service is asked."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches

from rich.console import RenderableType
from rich.text import Text

from ganclinic.cli.output import Output
from ganclinic.cli.tables import fields
from ganclinic.errors import InvalidInput
from ganlib.spec.preset import Preset, get_preset, preset_names


def presets(output: Output, options: argparse.Namespace) -> int:
    """All presets, or one of them with its deviations from the article."""
    if options.preset is None:
        found = [get_preset(name) for name in preset_names()]
        output.result([_document(preset) for preset in found], _presets_table(found))
    else:
        preset = get_preset(_known(options.preset))
        output.result(_document(preset), _preset_details(preset))
    return 0


def _known(name: str) -> str:
    if name in preset_names():
        return name
    close = get_close_matches(name, preset_names(), n=1)
    perhaps = f" Perhaps '{close[0]}'?" if close else ""
    raise InvalidInput(f"There is no preset '{name}'.{perhaps} There are: {', '.join(preset_names())}.")


def _document(preset: Preset) -> dict[str, object]:
    notes = {"title": preset.title, "reports": preset.reports, "deviations": list(preset.deviations)}
    return {"name": preset.name, **notes, "spec": preset.spec.model_dump(mode="json")}


def _presets_table(presets: Sequence[Preset]) -> RenderableType:
    """Name and title of each preset."""
    return fields([(preset.name, preset.title) for preset in presets])


def _preset_details(preset: Preset) -> RenderableType:
    """What a preset is, what was reported of it, and where it differs from the article."""
    spec = preset.spec
    rows: list[tuple[str, RenderableType]] = [
        ("preset", preset.name),
        ("title", preset.title),
        ("reported", preset.reports),
        ("data", f"{spec.dataset.name}: {spec.data.title}; {spec.dataset.size} samples used"),
        ("length", f"{spec.training.epochs} epochs of {spec.steps_per_epoch} steps"),
    ]
    rows += [("differs", deviation) for deviation in preset.deviations]
    rows.append(("run it", Text(f"ganclinic run {preset.name} --watch", style="bold")))
    return fields(rows)
