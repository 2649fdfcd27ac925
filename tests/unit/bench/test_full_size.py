"""The presets at full size: what was recorded, judged by the rules of today."""

import json
from collections import Counter

import pytest

from bench.full_size import DIGITS, EIGHTS, RECORDINGS, judged, planned
from bench.results import RESULTS
from bench.verdicts.recording import load

FOUND = json.loads((RESULTS / "full_size.json").read_text())


@pytest.mark.parametrize("preset", EIGHTS)
def test_ten_seeds_of_the_eights_get_the_verdict_that_was_published(preset: str):
    runs = [judged(load(path)) for path in sorted(RECORDINGS.glob(f"{preset}-seed-*.npz"))]
    assert runs == FOUND["presets"][preset], "the rules changed: make bench-full-size"
    assert len(runs) == 10
    verdicts = Counter(run["verdict"] for run in runs)
    assert verdicts[EIGHTS[preset]] >= 9, verdicts


def test_the_figures_are_those_of_the_runs():
    for preset, row in FOUND["verdicts"].items():
        runs = FOUND["presets"][preset]
        assert row["published"] == (EIGHTS | DIGITS)[preset]
        assert row["runs"] == len(runs)
        assert row["as_published"] == sum(run["verdict"] == row["published"] for run in runs)


def test_every_recording_is_planned():
    assert set(RECORDINGS.glob("*.npz")) <= {run.path for run in planned()}
