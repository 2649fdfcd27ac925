"""Vendi score: against its authors' package, closed forms and its invariances."""

import numpy as np
import pytest
from vendi_score import vendi

from ganlib.evaluation.measures.vendi import vendi_score


def features(seed, n, d):
    return np.random.default_rng(seed).normal(1, 1, (n, d)).astype(np.float32)


@pytest.mark.parametrize(("n", "d"), [(60, 10), (10, 60), (25, 25)])
def test_score_is_that_of_the_authors_package(n, d):
    x = features(0, n, d)
    assert vendi_score(x) == pytest.approx(vendi.score_dual(x.astype(np.float64)), rel=1e-9)


def test_samples_that_share_nothing_count_each():
    assert vendi_score(np.eye(7, dtype=np.float32)) == pytest.approx(7)
    assert vendi_score(np.eye(7, 30, dtype=np.float32).repeat(3, axis=0)) == pytest.approx(7)


def test_repeated_and_constant_samples_count_once():
    assert vendi_score(features(0, 1, 5).repeat(20, axis=0)) == pytest.approx(1)
    assert vendi_score(np.ones((20, 3), dtype=np.float32)) == pytest.approx(1)
    assert vendi_score(features(0, 1, 5)) == pytest.approx(1)


def test_order_lengths_and_repeating_everything_do_not_matter():
    x = features(0, 30, 12)
    expected = pytest.approx(vendi_score(x), rel=1e-6)
    assert vendi_score(x[::-1]) == expected
    assert vendi_score(x * np.linspace(1, 9, 30, dtype=np.float32)[:, None]) == expected
    assert vendi_score(np.concatenate([x, x])) == expected


def test_vectors_of_zeros_are_equal_to_each_other_and_to_nothing_else():
    zeros = np.zeros((4, 3), dtype=np.float32)
    assert vendi_score(zeros) == 1
    pair = np.concatenate([np.ones((4, 3), dtype=np.float32), zeros])
    assert vendi_score(pair) == pytest.approx(2)


def test_no_sample_has_no_score():
    with pytest.raises(ValueError, match="at least one sample"):
        vendi_score(np.zeros((0, 3), dtype=np.float32))
