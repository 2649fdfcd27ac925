"""Confidences: Wilson's interval of what the reported part showed, and what makes a finding less sure."""

from itertools import pairwise

import pytest
from scipy.stats import binomtest

from ganlib.diagnosis.confidence import CONFIDENCE, wilson
from ganlib.diagnosis.evidence import finding
from ganlib.findings import FINDING_NAMES


@pytest.mark.parametrize(("right", "cases"), [(0, 1), (1, 3), (2, 2), (54, 65), (334, 359)])
def test_the_interval_is_wilsons(right: int, cases: int) -> None:
    found = wilson(right, cases)
    expected = binomtest(right, cases).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.value == pytest.approx((found.low + found.high) / 2)


def test_few_cases_say_little() -> None:
    assert (wilson(0, 0).value, wilson(0, 0).low, wilson(0, 0).high) == pytest.approx((0.5, 0, 1))
    always = [wilson(n, n) for n in (1, 2, 5, 20, 100)]
    assert all(fewer.value < more.value for fewer, more in pairwise(always))
    assert all(fewer.high - fewer.low > more.high - more.low for fewer, more in pairwise(always))


def test_a_finding_that_was_right_once_in_three_is_not_called_likely() -> None:
    exploding = finding("exploding gradients", "moderate", "")
    assert exploding.confidence == pytest.approx(0.427, abs=0.001)
    assert (exploding.confidence_low, exploding.confidence_high) == pytest.approx((0.061, 0.792), abs=0.001)
    assert exploding.confidence_cases == 3


def test_every_finding_has_a_confidence() -> None:
    assert set(CONFIDENCE) == set(FINDING_NAMES)


def test_what_was_not_seen_lowers_the_lower_end_and_no_certainty() -> None:
    found = finding("mode collapse", "moderate", "")
    less = found.less_sure(0.5)
    assert (less.confidence, less.confidence_low) == (found.confidence / 2, found.confidence_low / 2)
    assert less.confidence_low <= less.confidence <= less.confidence_high == found.confidence_high
    certain = found.beyond_doubt()
    assert certain.less_sure(0.5) == certain
    assert (certain.confidence, certain.confidence_low, certain.confidence_cases) == (1, 1, 0)
