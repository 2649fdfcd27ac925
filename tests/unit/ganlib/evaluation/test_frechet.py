"""Fréchet and kernel distance: against torch-fidelity, closed forms and their invariances."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from ganlib.evaluation.measures.frechet import frechet_distance, kernel_distance


def features(seed, n, d, shift=0.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + shift).astype(np.float32)


def reference_frechet(reals, fakes):
    one, other = (fid_features_to_statistics(torch.from_numpy(side.astype(np.float64))) for side in (reals, fakes))
    return fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"]


@pytest.mark.parametrize(("n", "m", "d"), [(200, 150, 8), (30, 200, 40), (20, 15, 40)])
def test_frechet_distance_is_torch_fidelitys_also_where_covariances_are_singular(n, m, d):
    reals, fakes = features(0, n, d), features(1, m, d, shift=1)
    # Where covariances are singular, the reference takes roots of rounding errors.
    assert frechet_distance(reals, fakes) == pytest.approx(reference_frechet(reals, fakes), rel=1e-5)


def test_frechet_distance_of_known_gaussians():
    plus_minus = np.array([[-1.0], [1.0]], dtype=np.float32).repeat(50, axis=0)
    width = np.sqrt(100 / 99)  # the standard deviation of plus_minus
    assert frechet_distance(plus_minus, plus_minus + 3) == pytest.approx(9)
    assert frechet_distance(plus_minus, 2 * plus_minus) == pytest.approx(width**2)
    assert frechet_distance(plus_minus, np.full((5, 1), 3, dtype=np.float32)) == pytest.approx(9 + width**2)


def test_frechet_distance_of_equal_or_constant_sets_is_0():
    reals = features(0, 50, 80)
    assert frechet_distance(reals, reals[::-1]) == pytest.approx(0, abs=1e-8)
    constant = np.full((4, 3), 0.1, dtype=np.float32)
    assert frechet_distance(constant, constant[:2]) == 0


def test_frechet_distance_is_symmetric_and_does_not_change_when_both_sides_are_rotated():
    reals, fakes = features(0, 40, 12), features(1, 60, 12)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(12, 12)))[0]
    expected = pytest.approx(frechet_distance(reals, fakes), rel=1e-5)
    assert frechet_distance(fakes, reals) == expected
    assert frechet_distance((reals @ rotation).astype(np.float32), (fakes @ rotation).astype(np.float32)) == expected


def test_distances_are_bit_identical_when_computed_again():
    reals, fakes = features(0, 300, 100), features(1, 300, 100)
    assert frechet_distance(reals, fakes) == frechet_distance(reals.copy(), fakes.copy())
    one, two = (kernel_distance(reals, fakes, np.random.default_rng(0)) for _ in range(2))
    assert one == two


def test_kernel_distance_is_torch_fidelitys():
    reals, fakes = features(0, 120, 6), features(1, 120, 6, shift=0.5)
    reference = kid_features_to_metric(
        *(torch.from_numpy(side.astype(np.float64)) for side in (reals, fakes)),
        kid_subsets=1,
        kid_subset_size=120,
        verbose=False,
    )
    expected = pytest.approx(reference["kernel_inception_distance_mean"], rel=1e-9)
    assert kernel_distance(reals, fakes, np.random.default_rng(0)) == expected


def test_kernel_distance_is_unbiased_where_both_sides_are_drawn_alike():
    rng = np.random.default_rng(0)
    sides = rng.normal(size=(200, 2, 20, 5)).astype(np.float32)
    draws = [kernel_distance(reals, fakes, rng) for reals, fakes in sides]
    assert abs(np.mean(draws)) < 3 * np.std(draws) / np.sqrt(len(draws))
    assert min(draws) < 0


def test_kernel_distance_of_many_samples_is_near_that_of_all():
    rng = np.random.default_rng(0)
    reals, fakes = rng.normal(size=(1500, 4)).astype(np.float32), rng.normal(1, 1, (300, 4)).astype(np.float32)
    kernel = [(a.astype(float) @ b.T / 4 + 1) ** 3 for a, b in ((reals, reals), (fakes, fakes), (reals, fakes))]
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in kernel[:2]]
    assert kernel_distance(reals, fakes, rng) == pytest.approx(sum(within) - 2 * kernel[2].mean(), rel=0.05)


def test_kernel_distance_of_one_constant_is_0():
    constant = np.full((4, 3), 0.5, dtype=np.float32)
    assert kernel_distance(constant, constant, np.random.default_rng(0)) == pytest.approx(0, abs=1e-12)


def test_one_sample_has_no_covariance_and_no_other():
    one, many = features(0, 1, 3), features(1, 10, 3)
    with pytest.raises(ValueError, match="there are 1 and 10"):
        frechet_distance(one, many)
    with pytest.raises(ValueError, match="there are 10 and 1"):
        kernel_distance(many, one, np.random.default_rng(0))
