"""What a spec can name: presets and data sets."""

from typing import Annotated, Any

from ganlib.wire.runs import run_spec
from ganlib.wire.view import View, WrittenAs


class PresetSummary(View):
    """A published experiment."""

    name: str
    title: str
    reports: str
    """What the article reports, or for a preset of our own what was measured."""
    deviations: tuple[str, ...]
    """Where this differs from the article, as far as known."""


class PresetView(PresetSummary):
    """A published experiment with its spec."""

    spec: Annotated[dict[str, Any], WrittenAs(run_spec)]


class PresetList(View):
    """All presets, by name."""

    items: tuple[PresetSummary, ...]


class DatasetView(View):
    """A data set that a spec can name."""

    name: str
    title: str
    shape: tuple[int, ...]
    """Of one sample: (channels, height, width) for images, (d) for points."""
    class_counts: tuple[int, ...]
    """Training images in each class, one number where there are no classes; empty where the spec chooses the size."""
    source: str


class DatasetList(View):
    """All data sets, by name."""

    items: tuple[DatasetView, ...]
