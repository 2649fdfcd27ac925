"""Sentences of findings: they say what was seen, and nothing that was not looked at."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ganlib.diagnosis.history import History
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.verdict import Finding
from ganlib.findings import FindingName
from ganlib.records import STEP_COLUMNS
from tests.support.histories import GOLDEN, NULLS, STEPS_PER_EPOCH, evaluation, grown, history

AHEAD = {"d_acc_real": 0.95, "d_acc_fake": 0.94, "d_loss_real": 0.2, "d_loss_fake": 0.2, "g_loss": 4.0}
POOR = {"precision": 0.1, "coverage": 0.05, "recall": 0.05}


def found(past: History, name: FindingName) -> Finding:
    return next(finding for finding in diagnose(past).findings if finding.name == name)


def losing(first: float, last: float) -> History:
    """A history whose discriminator is ahead, and whose g_loss goes from `first` to `last` over its last 200 steps."""
    past = history(dynamics=AHEAD, outcome=POOR)
    steps = past.steps.copy()
    steps[:, STEP_COLUMNS.index("g_loss")] = np.interp(
        np.arange(len(steps)), [len(steps) - 200, len(steps)], [first, last]
    )
    return replace(past, steps=steps)


def of_quality(*qualities: float, epochs_total: int | None = None, **values: float) -> History:
    """A history whose evaluations have these qualities, one an epoch."""
    past = history(len(qualities))
    outcomes = [
        evaluation(
            epoch,
            precision=quality * NULLS["precision"],
            coverage=quality * NULLS["coverage"],
            recall=quality * NULLS["recall"],
            **values,
        )
        for epoch, quality in enumerate(qualities, 1)
    ]
    return replace(past, evaluations=(past.evaluations[0], *outcomes), epochs_total=epochs_total or past.epochs_total)


@pytest.mark.parametrize(
    ("first", "last", "said", "unsaid"),
    [
        (9.0, 3.0, "falls", "climbs"),
        (3.0, 9.0, "climbs", "falls"),
        (4.0, 4.1, "about as in the window before", "climbs|falls"),
    ],
)
def test_a_loss_climbs_or_falls_as_it_does(first: float, last: float, said: str, unsaid: str) -> None:
    finding = found(losing(first, last), "convergence failure: no equilibrium")
    assert said in finding.summary
    assert re.search(unsaid, finding.summary) is None


def test_a_discriminator_may_win_while_g_loss_falls() -> None:
    past = losing(40.0, 8.0)
    certain = {"d_acc_real": 1.0, "d_acc_fake": 1.0, "d_loss_real": 0.001, "d_loss_fake": 0.001}
    steps = past.steps.copy()
    for name, value in certain.items():
        steps[:, STEP_COLUMNS.index(name)] = value
    finding = found(replace(past, steps=steps), "convergence failure: discriminator wins")
    assert "though it falls" in finding.summary


def test_no_check_says_what_a_curve_does_where_no_rule_looks() -> None:
    for past, *_ in GOLDEN.values():
        for finding in diagnose(past).findings:
            assert re.search(r"climbs while|; the samples stop|: they (grow|shrink) by", finding.check) is None


def test_poor_samples_are_spoken_of_where_somebody_looked() -> None:
    steps = grown(1e-4)
    assert (
        "though its samples are poor"
        in found(replace(history(outcome=POOR), steps=steps.steps), "vanishing gradients").summary
    )
    unseen = found(replace(steps, evaluations=()), "vanishing gradients").summary
    assert "poor" not in unseen
    assert "its samples were not looked at" in unseen


def test_a_loss_that_vanishes_is_given_by_its_number() -> None:
    past = history(
        dynamics={"d_acc_real": 1.0, "d_acc_fake": 1.0, "d_loss_real": 1e-6, "d_loss_fake": 1e-6, "g_loss": 5.0}
    )
    summary = found(past, "convergence failure: both losses vanish").summary
    assert "the generator's loss is 5, less than the same fakes can give it" in summary
    assert "low" not in summary


@pytest.mark.parametrize(
    ("outcome", "said", "unsaid"),
    [
        ({"fake_distance": 0.1 * NULLS["fake_distance"]}, "the same few samples", "leaves out|most of the data"),
        ({"fake_distance": 0.1, "missing_mass": 0.42}, r"leaves out 42\s?%", "most of the data"),
        ({"precision": 0.9, "coverage": 0.1, "missing_mass": 0.8}, r"leaves out 80\s?%", "same few"),
        (
            {"classifier_accuracy": 0.97, "high_quality": 0.8, "mode_kl": 1.2, "missing_mass": 0.2},
            "some classes far more often",
            "same few|leaves out",
        ),
    ],
)
def test_a_collapse_is_told_by_the_signs_that_it_has(outcome: dict[str, float], said: str, unsaid: str) -> None:
    summary = found(history(outcome=outcome), "mode collapse").summary
    assert re.search(said, summary)
    assert re.search(unsaid, summary) is None


def test_copies_are_told_by_their_share() -> None:
    past = history(outcome={"memorisation": 0.75, "copies": 0.14})
    assert found(past, "memorisation").summary.startswith("Of the samples 14 % are nearer")


def test_losses_deceive_about_a_collapse_of_good_samples_too() -> None:
    past = history(outcome={"precision": 0.9, "coverage": 0.5, "recall": 0.5, "fake_distance": 0.1})
    finding = found(past, "deceptive loss")
    assert "have collapsed" in finding.summary
    assert "far from the data" not in finding.summary
    assert any("nearest fake-fake distance" in evidence.signal for evidence in finding.evidence)


@pytest.mark.parametrize(
    ("last", "said"), [(0.1, "over epochs 6–10 they have hardly become better"), (0.0, "have become worse")]
)
def test_what_stalls_may_become_worse(last: float, said: str) -> None:
    qualities = [0.1] * 5 + list(np.linspace(0.1, last, 5))
    past = replace(of_quality(*qualities), objective="hinge")
    assert said in found(past, "stalled").summary


def test_the_gain_of_n_evaluations_is_that_of_n_minus_one_steps() -> None:
    # .044 from the first to the last of five, where five slopes make .055; a finding needs .05
    little = of_quality(*[0.5] * 5, *np.linspace(0.5, 0.544, 5))
    assert "slow convergence" not in {f.name for f in diagnose(little).findings}
    enough = of_quality(*[0.5] * 5, *np.linspace(0.5, 0.552, 5))
    assert "over epochs 6–10" in found(enough, "slow convergence").summary.lower()
    poor = replace(of_quality(*[0.1] * 5, *np.linspace(0.1, 0.144, 5)), objective="hinge")
    assert found(poor, "stalled")


def test_no_number_of_epochs_is_made_up_where_the_end_does_not_rise() -> None:
    past = of_quality(*[0.2] * 16, 0.3, 0.4, 0.5, *[0.6] * 5)  # of the last eight the last five are at rest
    for finding in diagnose(past).findings:
        assert "inf" not in finding.summary
    assert found(past, "slow convergence").summary.endswith(", though not in the last of them.")


def test_numbers_that_are_no_numbers_and_losses_too_large_are_told_apart() -> None:
    large = history(dynamics={"g_loss": 3e4})
    assert found(large, "divergence").summary.startswith("A loss has reached 3e+04")
    broken: Any = history()
    steps = broken.steps.copy()
    steps[-STEPS_PER_EPOCH:, STEP_COLUMNS.index("g_grad_norm")] = np.nan
    assert "no longer finite" in found(replace(broken, steps=steps), "divergence").summary
