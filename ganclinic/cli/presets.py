"""`ganclinic presets`: the published experiments. They come with the client, so no service is asked."""

import argparse
from difflib import get_close_matches

from ganclinic.cli.output import Output
from ganclinic.cli.tables import preset_details, presets_table
from ganclinic.errors import InvalidInput
from ganlib.spec.preset import Preset, get_preset, preset_names


def presets(output: Output, options: argparse.Namespace) -> int:
    """All presets, or one of them with its deviations from the article."""
    if options.preset is None:
        found = [get_preset(name) for name in preset_names()]
        output.result([_document(preset) for preset in found], presets_table(found))
    else:
        preset = get_preset(_known(options.preset))
        output.result(_document(preset), preset_details(preset))
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
