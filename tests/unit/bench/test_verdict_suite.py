# pyright: basic
"""The suite that verdicts are judged by: its split, what it keeps, and how it counts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.results import RESULTS
from bench.verdicts import configuration, score, suite
from bench.verdicts.cure import effects
from bench.verdicts.fit import values
from bench.verdicts.labels import Truth, truth
from bench.verdicts.oracle_figures import FIGURES
from bench.verdicts.recording import RECORDINGS, Recording, load, save
from bench.verdicts.score import Judged, cause_of, clear_macro_f1, confusion, counts, f1, macro_f1, report, withheld
from ganlib.diagnosis.confidence import SEEN
from ganlib.diagnosis.effects import EFFECTS
from ganlib.diagnosis.history import History
from ganlib.diagnosis.verdict import Diagnosis, Finding
from ganlib.records import STEP_COLUMNS
from tests.support.verdicts import a_recording, an_evaluation

DOCS = Path(__file__).parents[3] / "docs"


def test_the_suite_is_as_large_as_it_says():
    runs = suite.planned()
    assert len(runs) >= 300
    assert sum(run.configuration.data in suite.PICTURES for run in runs) >= 80
    assert len({run.id for run in runs}) == len(runs)


def test_all_seeds_of_a_configuration_lie_in_one_part():
    parts: dict[str, set[str]] = {}
    for run in suite.planned():
        parts.setdefault(run.configuration.name, set()).add(run.configuration.part)
    assert all(len(part) == 1 for part in parts.values())


def test_the_reported_part_has_what_the_calibration_never_sees():
    calibration = [c for c in suite.configurations() if c.part == "calibration"]
    assert calibration
    assert configuration.HELD_BACK_OBJECTIVE not in {c.objective for c in calibration}
    assert configuration.HELD_BACK_DATA not in {c.data for c in calibration}
    assert not set(configuration.HELD_BACK) & {c.variant for c in calibration}
    assert len(configuration.HELD_BACK) >= 3


def test_every_configuration_is_a_valid_spec():
    for one in suite.configurations():
        spec = suite.Planned(configuration=one, seed=0).request.resolve()
        assert spec.training.epochs == configuration.EPOCHS
        assert spec.evaluation.every_epochs <= configuration.EPOCHS / 40, "four evaluations in the first tenth"


def test_a_recording_survives_its_file(tmp_path):
    kept = a_recording()
    save(kept, tmp_path / "run.npz")
    found = load(tmp_path / "run.npz")
    assert found.request == kept.request
    assert found.history.evaluations[1].values == pytest.approx(kept.history.evaluations[1].values)
    assert found.history.evaluations[1].nulls["precision"].excess == pytest.approx(-0.3)
    assert set(found.history.evaluations[1].nulls) == {"precision"}
    assert found.history.gradients == kept.history.gradients
    assert found.history.steps[3, 0] == np.inf
    assert np.isnan(found.history.steps[4, 0])
    assert np.isfinite(found.history.steps[5, 0])
    np.testing.assert_allclose(found.history.steps[:3], kept.history.steps[:3], rtol=2**-8)
    assert found.inside is None
    assert found.pictures[1].shape == (3, 1, 2, 2)
    assert found.bins.tolist() == [[0.75, 0.25], [0.25, 0.75]]


def diagnosis(epoch: int, *names: Any, severity: Any = "severe") -> Diagnosis:
    findings = tuple(
        Finding(name=name, severity=severity, first_epoch=epoch, summary="", evidence=()) for name in names
    )
    return Diagnosis(epoch=epoch, verdict="undetermined", severity="none", findings=findings, reason="", ruleset="test")


def judged(index: int, labels: set[Any], *said: tuple[Any, ...], healthy: bool = False, onset: int = 1) -> Judged:
    return Judged(
        run=suite.planned()[index],
        truth=Truth(labels=frozenset(labels), healthy=healthy, onset=dict.fromkeys(labels, onset)),
        diagnoses=tuple(diagnosis(epoch, *names) for epoch, names in enumerate(said, 1)),
        steps_per_epoch=100,
        evaluation_share=0.01,
    )


def test_runs_on_images_are_judged_a_second_time_without_their_labels():
    index = next(i for i, run in enumerate(suite.planned()) if run.configuration.data == "digits")
    told = judged(index, {"mode collapse"}, ("mode collapse",))
    blind = replace(told, withheld=frozenset({"stalled"}))
    of_points = judged(0, {"mode collapse"}, ("mode collapse",))
    found = report([blind, of_points])
    assert (found["image_runs"], found["mode_collapse_f1_of_images"]) == (1, 1.0)
    assert found["mode_collapse_f1_of_images_labels_withheld"] == 0.0
    assert counts(withheld([blind, of_points]), "stalled") == (0, 1, 0)


def test_what_is_withheld_is_all_that_a_classifier_says(monkeypatch):
    run = next(r for r in suite.planned() if r.id == "digits-bce-latent-of-1-0")
    asked = []
    told = score.replay
    monkeypatch.setattr(score, "replay", lambda history: asked.append(history) or told(history))
    found = score.judge(run)
    assert found.withheld is not None
    seen, blind = (history.evaluations[-1].values for history in asked)
    assert set(seen) - set(blind) == {"modes_captured", "modes_total", "high_quality", "mode_kl", "classifier_accuracy"}


def test_figures_on_literal_cases():
    right = judged(0, {"mode collapse"}, (), ("mode collapse",), onset=1)
    missed = judged(1, {"mode collapse", "divergence"}, (), ("divergence",), onset=2)
    false = judged(2, set(), ("mode collapse",), (), healthy=True)
    quiet = judged(3, set(), (), (), healthy=True)
    runs = [right, missed, false, quiet]
    assert counts(runs, "mode collapse") == (1, 0, 1)
    assert f1(1, 0, 1) == pytest.approx(2 / 3)
    assert macro_f1(runs, ("mode collapse", "divergence", "stalled")) == pytest.approx((2 / 3 + 1) / 2)
    found = report(runs)
    assert (found["healthy_runs"], found["false_alarm_runs"]) == (2, 1)
    assert found["median_alarm_fraction"] == pytest.approx(0.25)  # delays of 1 and 0 epochs of 2
    assert confusion(runs)["healthy"] == {"undetermined": 2}
    assert [miss["run"] for miss in found["misses"]] == [missed.run.id, false.run.id]


def oracle_saw(**figures: list[float]) -> Recording:
    """A recording of the suite's first run, of which the oracle saw that, evaluation by evaluation."""
    count = len(next(iter(figures.values())))
    steps = np.ones((100 * (count - 1), len(STEP_COLUMNS)), np.float32)
    rows = {"missing": [0.0] * count, "quality": [0.8] * count, "spread": [1.0] * count, "copied": [0.0] * count}
    seen = {**rows, "finite": [1.0] * count, **figures}
    return Recording(
        request=suite.planned()[0].request,
        history=History(
            objective="bce",
            steps_per_epoch=100,
            epochs_total=count - 1,
            steps=steps,
            evaluations=tuple(an_evaluation(epoch) for epoch in range(count)),
        ),
        oracle=np.array([[seen[name][at] for name in FIGURES] for at in range(count)], np.float32),
        pictures={},
        seconds=1.0,
        evaluation_seconds=0.0,
    )


@pytest.mark.parametrize(
    ("figures", "near"),
    [
        ({"quality": [0.21] * 10}, {"deceptive loss", "stalled", "vanishing gradients"}),
        ({"quality": [0.3] * 7 + [0.34] * 3}, {"slow convergence", "stalled"}),
        ({"missing": [0.25] * 10}, {"mode collapse", "deceptive loss"}),
        ({"copied": [0.24] * 10}, {"memorisation"}),
        ({"quality": [0.5] * 10, "missing": [0.1] * 10}, set()),
    ],
)
def test_a_label_is_near_where_the_oracles_figure_is_by_its_cut_off(figures, near):
    found = truth(suite.planned()[0], oracle_saw(**figures)).near
    assert near <= set(found)
    assert bool(near) == bool(found)


def test_a_run_at_the_oracles_limit_counts_for_other_findings_alone():
    right = judged(0, {"mode collapse", "stalled"}, ("mode collapse", "stalled"))
    missed = judged(1, {"mode collapse", "stalled"}, ("stalled",))
    assert clear_macro_f1([right, missed]) == pytest.approx((2 / 3 + 1) / 2)
    near = replace(missed, truth=replace(missed.truth, near={"mode collapse": "by a hair"}))
    assert clear_macro_f1([right, near]) == 1
    assert macro_f1([right, near], ("mode collapse", "stalled")) == pytest.approx((2 / 3 + 1) / 2)


def test_every_miss_has_its_cause():
    near = judged(0, {"mode collapse"}, ())
    near = replace(near, truth=replace(near.truth, near={"mode collapse": "by a hair"}))
    assert cause_of(near, "mode collapse") == "at the oracle's limit: by a hair"
    gone = judged(1, {"mode collapse"}, ("mode collapse",), ("mode collapse",), ())
    assert cause_of(gone, "mode collapse") == "found in 2 epochs, the last of them 2 of 3"
    assert "eye" in cause_of(judged(2, {"oscillation"}, ()), "oscillation")
    assert cause_of(judged(3, {"mode collapse"}, ("stalled",)), "mode collapse").endswith("found instead: stalled")


def test_the_docs_have_the_figures_of_the_file():
    found, docs = json.loads((RESULTS / "verdicts.json").read_text()), (DOCS / "findings.md").read_text("utf-8")
    assert f"ruleset {found['ruleset']} (`bench/results/verdicts.json`" in docs
    low, high = found["macro_f1_interval"]
    for words in (
        f"| {found['macro_f1']} ({low} to {high}) |",
        f"| {found['macro_f1_outcomes']} / {found['macro_f1_dynamics']} |",
        f"| {found['macro_f1_clear_labels']} |",
        f"| {found['false_alarm_runs']} of {found['healthy_runs']} (at most {found['false_alarm_bound']:.1%} with",
        f"| {found['median_alarm_fraction']} of the budget |",
        f"of {found['cases_treated']} treated | {found['first_remedy_cure_rate']} |",
        f"median | {found['cure_time_ratio']} |",
    ):
        assert words in docs, words
    for name, row in found["findings"].items():
        cells = (row["kind"], row["true"], row["found"], row["precision"], row["recall"], row["f1"])
        assert f"| {name} | {' | '.join(map(str, cells))} |" in docs, name


def test_a_mild_finding_is_no_alarm():
    mild = replace(judged(0, set(), (), healthy=True), diagnoses=(diagnosis(1, "slow convergence", severity="mild"),))
    assert mild.alarms == {}


def test_no_threshold_was_fitted_on_the_reported_part():
    fitted = json.loads((RESULTS / "thresholds_fit.json").read_text())
    parts = {run.id: run.configuration.part for run in suite.planned()}
    assert fitted["runs"]
    assert {parts[run] for run in fitted["runs"]} == {"calibration"}
    assert fitted["values"] == values(), "thresholds changed after the fit: run python -m bench.verdicts.fit"


def test_every_recording_is_a_run_of_the_suite_and_all_of_them_are_small():
    ids = {run.id for run in (*suite.planned(), *suite.planned_more())}
    recordings = list(RECORDINGS.glob("*.npz"))
    assert recordings
    assert {path.stem for path in recordings} <= ids
    assert sum(path.stat().st_size for path in RECORDINGS.rglob("*.npz")) <= 40e6


def test_confidence_is_what_the_reported_part_measured():
    findings = json.loads((RESULTS / "verdicts.json").read_text())["findings"]
    assert {name: (round(row["precision"] * row["found"]), row["found"]) for name, row in findings.items()} == SEEN


def test_effects_are_what_the_cures_measured():
    path = RESULTS / "cures.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    assert effects(rows) == EFFECTS
