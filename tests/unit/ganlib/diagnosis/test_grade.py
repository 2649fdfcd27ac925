"""How good samples are, beside what is wrong."""

from dataclasses import replace

import pytest

from ganlib.diagnosis.grade import Graded, grade_of
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.signals import signals_of
from tests.support.histories import evaluation, history, improving

PRECISE = evaluation(1).nulls["precision"].mean


def graded(quality: float):
    """The grade of samples that reach everything and are as precise as that share of real data."""
    past = history(outcome={"precision": quality * PRECISE, "coverage": 0.95, "recall": 0.95})
    return past, grade_of(signals_of(past))


@pytest.mark.parametrize(
    ("share", "grade", "verdict"),
    [
        (0.1, "poor", "undetermined"),
        (0.3, "rough", "undetermined"),
        (0.5, "fair", "healthy"),
        (0.95, "close to real", "healthy"),
    ],
)
def test_a_healthy_run_has_samples_that_are_at_least_fair(share: float, grade: str, verdict: str) -> None:
    past, found = graded(share)
    assert found is not None
    diagnosis = diagnose(replace(past, epochs_total=20))
    assert (found.grade, diagnosis.grade, diagnosis.verdict) == (grade, grade, verdict)
    assert diagnosis.quality == found.quality


def test_a_history_without_evaluations_has_no_grade() -> None:
    diagnosis = diagnose(replace(history(), evaluations=()))
    assert (diagnosis.grade, diagnosis.quality, diagnosis.quality_error) == (None, None, None)


def test_the_error_is_that_of_a_share_of_so_many_samples() -> None:
    past, found = graded(0.3)
    last = past.evaluations[-1]
    assert found is not None
    precise = 0.3 * PRECISE
    assert found.error == pytest.approx((precise * (1 - precise) / last.n_subset) ** 0.5 / PRECISE)


def test_a_grade_that_other_samples_might_change_says_so() -> None:
    _, near = graded(0.41)
    _, far = graded(0.6)
    assert near is not None
    assert far is not None
    assert (near.grade, near.edge) == ("fair", "rough")
    assert "at the edge of rough" in near.words
    assert (far.edge, "edge" in far.words) == (None, False)


def test_poor_samples_that_become_better_are_still_learning_long_before_the_end() -> None:
    past = improving()
    poor = tuple(
        evaluation(e, precision=0.02 + 0.02 * e, coverage=0.02 + 0.02 * e, recall=0.02 + 0.02 * e) for e in range(1, 11)
    )
    rising = replace(past, evaluations=(past.evaluations[0], *poor), epochs_total=40)
    found = diagnose(rising)
    assert (found.verdict, found.severity, found.findings) == ("still learning", "none", ())
    assert "and become better" in found.reason


def test_balanced_losses_deceive_only_of_samples_that_have_stopped_becoming_better() -> None:
    still = history(outcome={"precision": 0.1, "coverage": 0.1, "recall": 0.1})
    assert [f.name for f in diagnose(still).findings] == ["deceptive loss"]
    better = tuple(
        evaluation(e, precision=0.012 * e, coverage=0.012 * e, recall=0.012 * e)
        for e in range(1, still.epochs_total + 1)
    )
    rising = diagnose(replace(still, evaluations=(still.evaluations[0], *better)))
    assert "deceptive loss" not in [f.name for f in rising.findings]
    assert rising.verdict == "still learning"


def test_without_classes_one_mode_of_many_is_found_though_its_samples_are_mostly_imprecise() -> None:
    one_mode = {"precision": 0.14, "coverage": 0.1, "recall": 0.24, "missing_mass": 0.85, "fake_distance": 3.0}
    found = diagnose(history(outcome=one_mode))
    assert found.verdict == "mode collapse"
    assert found.findings[0].evidence[0].signal == "missing mass"
    blurred = diagnose(history(outcome=one_mode | {"missing_mass": 0.32}))
    assert "mode collapse" not in [f.name for f in blurred.findings]


def test_a_run_of_120_updates_with_poor_samples_is_unfinished_and_no_more() -> None:
    young = history(4, outcome={"precision": 0.01, "coverage": 0.01, "recall": 0.01})
    assert young.updates < 200
    assert (diagnose(young).verdict, diagnose(young).findings) == ("undetermined", ())


def test_the_edge_is_that_of_the_nearest_cut() -> None:
    few = Graded(grade="fair", quality=0.43, error=0.11)
    assert few.edge == "rough"
    assert Graded(grade="poor", quality=0.2, error=0.02).edge == "rough"
    assert Graded(grade="close to real", quality=0.85, error=0.03).edge == "fair"
    assert Graded(grade="close to real", quality=0.95, error=0.03).edge is None
    assert Graded(grade="fair", quality=0.43, error=None).edge is None


def test_a_lucky_last_evaluation_makes_no_grade_surer() -> None:
    past, _ = graded(0.4)
    last = evaluation(past.epoch, precision=0.0, coverage=0.0, recall=0.0)
    found = grade_of(signals_of(replace(past, evaluations=(*past.evaluations[:-1], last))))
    assert found is not None
    assert found.error is not None
    assert found.error > 0.01


def test_losses_deceive_of_no_samples_whose_course_is_not_known() -> None:
    past = history(outcome={"precision": 0.1, "coverage": 0.1, "recall": 0.1})
    few = tuple(one for one in past.evaluations if one.epoch in (0, 6, 8, 10))
    assert "deceptive loss" not in [f.name for f in diagnose(replace(past, evaluations=few)).findings]
