"""Memorisation: against scipy's distances and U test, its null, and generators that copy or do not."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from ganlib.evaluation.measures import memorisation as module
from ganlib.evaluation.measures.memorisation import (
    copies_null,
    leave_one_out_distances,
    memorisation,
    memorisation_null,
    nearest_distances,
)


def points(seed, n, d=5):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.fixture(params=[(7, 11), (1024, 4096)])
def blocks(request, monkeypatch):
    monkeypatch.setattr(module, "QUERY_BLOCK", request.param[0])
    monkeypatch.setattr(module, "TRAIN_BLOCK", request.param[1])


@pytest.mark.usefixtures("blocks")
def test_copies_of_real_data_are_as_many_as_their_null_says():
    rng = np.random.default_rng(0)
    draws = [memorisation(rng.random(500), rng.random(300)).copies for _ in range(1000)]
    mean, low, high = copies_null(500, 300)
    assert np.mean(draws) == pytest.approx(mean, abs=0.001)  # standard error .0003
    assert np.mean((np.array(draws) >= low) & (np.array(draws) <= high)) == pytest.approx(0.92, abs=0.04)


def test_nearest_distances_are_those_of_all_pairs():
    queries, train = points(0, 40), points(1, 90)
    expected = cdist(queries.astype(np.float64), train.astype(np.float64)).min(1)
    assert nearest_distances(queries, train) == pytest.approx(expected, rel=1e-12)


@pytest.mark.usefixtures("blocks")
def test_leave_one_out_distances_are_to_the_nearest_other_training_sample():
    train, indices = points(1, 90), np.array([3, 88, 3, 12])
    distances = cdist(train.astype(np.float64), train.astype(np.float64)) + np.diag(np.full(90, np.inf))
    assert leave_one_out_distances(train, indices) == pytest.approx(distances.min(1)[indices], rel=1e-12)


@pytest.mark.usefixtures("blocks")
def test_copies_have_distance_0_exactly():
    train = np.random.default_rng(0).uniform(99, 100, (50, 3000)).astype(np.float32)
    assert nearest_distances(train[::-1], train).tolist() == [0] * 50
    train[7] = train[31]
    assert np.flatnonzero(leave_one_out_distances(train, np.arange(50)) == 0).tolist() == [7, 31]


def test_constant_data_have_distance_0_and_a_single_sample_has_no_other():
    same = np.full((6, 4), 0.1, dtype=np.float32)
    assert leave_one_out_distances(same, np.arange(6)).tolist() == [0] * 6
    assert leave_one_out_distances(same[:1], np.array([0])).tolist() == [np.inf]


def test_score_is_mann_and_whitneys_with_ties():
    rng = np.random.default_rng(0)
    fake, unseen = rng.integers(0, 9, 40).astype(float), rng.integers(3, 12, 25).astype(float)
    u = mannwhitneyu(unseen, fake).statistic
    assert memorisation(fake, unseen).score == pytest.approx(u / (40 * 25))


def test_all_ties_score_one_half():
    assert memorisation(np.zeros(5), np.zeros(9)).score == 0.5
    assert memorisation(np.zeros(5), np.zeros(9)).copies == 0


def test_a_generator_that_copies_scores_high_one_of_real_data_one_half_and_a_poor_one_low():
    train, unseen, fresh = points(0, 1000), points(1, 400), points(2, 400)
    reference = nearest_distances(unseen, train)

    def result(fakes):
        return memorisation(nearest_distances(fakes, train), reference)

    assert (result(train[:400]).score, result(train[:400]).copies) == (1, 1)
    assert result(fresh).score == pytest.approx(0.5, abs=0.05)
    assert result(fresh).copies < 0.03
    assert result(fresh * 5).score < 0.1


def test_leave_one_out_stands_in_for_unseen_reals():
    train = points(0, 1000)
    score = memorisation(nearest_distances(points(1, 500), train), leave_one_out_distances(train, np.arange(500))).score
    assert memorisation_null(500, 500)[1] - 0.01 < score < memorisation_null(500, 500)[2] + 0.01


def test_null_has_the_level_that_it_states():
    rng = np.random.default_rng(0)
    scores = [memorisation(rng.random(30), rng.random(20)).score for _ in range(3000)]
    mean, q05, q95 = memorisation_null(30, 20)
    assert np.mean(scores) == pytest.approx(mean, abs=0.005)
    assert np.std(scores) == pytest.approx(np.sqrt(51 / (12 * 30 * 20)), rel=0.04)
    assert np.quantile(scores, [0.05, 0.95]) == pytest.approx([q05, q95], abs=0.01)


def test_null_of_single_samples_stays_in_range():
    assert memorisation_null(1, 1) == (0.5, 0, 1)


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="0 fakes, 3 unseen"):
        memorisation(np.zeros(0), np.zeros(3))
