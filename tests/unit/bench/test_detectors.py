# pyright: basic
"""Detectors that the diagnosis is measured beside, and how any detector is scored."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.results import RESULTS
from bench.verdicts import baselines
from bench.verdicts.compare import Answered, load_detector, score
from bench.verdicts.labels import Truth
from ganlib.records import STEP_COLUMNS
from tests.support.histories import GOLDEN, history

FINDINGS = (Path(__file__).parents[3] / "docs/findings.md").read_text("utf-8")


def with_losses(d_loss: float, g_loss: float, **changes):
    """A history whose losses stay at these levels."""
    return history(dynamics={"d_loss_real": d_loss, "d_loss_fake": d_loss, "g_loss": g_loss, **changes})


def swinging():
    """A history whose generator's loss goes from 0 to twice its mean and back."""
    past = history(20)
    steps = past.steps.copy()
    steps[:, STEP_COLUMNS.index("g_loss")] = 1 + np.sin(np.arange(len(steps)) / 8)
    return replace(past, steps=steps)


@pytest.mark.parametrize(
    ("detector", "past", "said"),
    [
        (baselines.loss_thresholds, with_losses(0.01, 6.0), {"convergence failure: discriminator wins"}),
        (baselines.loss_thresholds, with_losses(0.01, 0.01), {"convergence failure: both losses vanish"}),
        (baselines.loss_thresholds, swinging(), {"mode collapse"}),
        (baselines.loss_thresholds, history(), set()),
        (baselines.two_scores, with_losses(0.01, 6.0), {"convergence failure: discriminator wins"}),
        (
            baselines.two_scores,
            history(dynamics={"d_loss_real": 0.01, "d_loss_fake": 4.0}),
            {"convergence failure: discriminator inert"},
        ),
        (baselines.two_scores, replace(with_losses(0.01, 6.0), objective="hinge"), set()),
        (baselines.two_scores, history(), set()),
        (baselines.generic_symptoms, swinging(), {"oscillation"}),
        (baselines.generic_symptoms, history(), set()),
        (baselines.this_diagnosis, GOLDEN["half of the modes"][0], {"mode collapse", "deceptive loss"}),
    ],
)
def test_a_rule_finds_what_its_source_describes(detector, past, said) -> None:
    assert detector(past) == said


@pytest.mark.parametrize("detector", [baselines.loss_thresholds, baselines.two_scores, baselines.generic_symptoms])
def test_numbers_that_are_none_are_a_divergence_to_all_who_read_curves(detector) -> None:
    past = history()
    steps = past.steps.copy()
    steps[-1] = np.nan
    assert detector(replace(past, steps=steps)) == {"divergence"}


def test_samples_are_looked_at_by_the_two_that_do() -> None:
    past = history()
    last = past.evaluations[-1]
    flagged = replace(last, values={**last.values, "ndb_over_k": 0.9})
    assert baselines.ndb_alone(replace(past, evaluations=(*past.evaluations[:-1], flagged))) == {"mode collapse"}
    assert baselines.plateau_alone(past) == {"stalled"}


def answered(labels, said, *, healthy=False) -> Answered:
    return Answered(truth=Truth(labels=frozenset(labels), healthy=healthy, onset={}), said={"mine": frozenset(said)})


def test_a_detector_is_scored_by_the_sick_that_it_finds_and_the_healthy_that_it_leaves_alone() -> None:
    runs = [
        answered({"mode collapse"}, {"mode collapse"}),
        answered({"mode collapse"}, {"stalled"}),
        answered({"divergence"}, ()),
        answered({"slow convergence"}, {"slow convergence"}, healthy=True),
        answered((), {"oscillation"}, healthy=True),
    ]
    found = score(runs, "mine")
    assert (found["sick_runs"], found["sick_found"], found["sick_found_by_a_right_name"]) == (3, 2, 1)
    assert (found["healthy_runs"], found["alarms_on_healthy"]) == (2, 1)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0 + 1) / 3, abs=1e-3)


def test_a_detector_of_ones_own_is_named_by_module_and_function() -> None:
    assert load_detector("bench.verdicts.baselines:ndb_alone") is baselines.ndb_alone
    for name in ("bench.verdicts.baselines", "bench.verdicts.baselines:none", "no.such.module:f"):
        with pytest.raises(SystemExit, match="module:function"):
            load_detector(name)


def test_the_docs_have_the_table_of_the_file() -> None:
    found = json.loads((RESULTS / "detectors.json").read_text())
    assert set(found["detectors"]) == set(baselines.BASELINES)
    for name, row in found["detectors"].items():
        cells = (
            f"{row['sick_found']} of {row['sick_runs']}",
            f"{row['sick_found_by_a_right_name']}",
            f"{row['alarms_on_healthy']} of {row['healthy_runs']}",
            f"{row['macro_f1']}",
        )
        assert f"| {name} | {' | '.join(cells)} |" in FINDINGS, name
