"""What a GPU computes, with the same calls on the CPU's own device: the figures are those of NumPy up to rounding."""

import numpy as np
import pytest
import torch

from ganlib.evaluation.gpu_distances import squared_distances_on
from ganlib.evaluation.measures.memorisation import leave_one_out_distances, nearest_distances
from ganlib.evaluation.measures.neighbours import median_nearest_distance, own_distances, prdc, squared_distances
from ganlib.evaluation.measures.repetition import duplicate_radius, near_duplicate_rate, support_size
from ganlib.evaluation.measures.table import Context
from ganlib.spec.evaluation import Comparison

ON_DEVICE = squared_distances_on(torch.device("cpu"))


@pytest.fixture
def sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    reals, fakes = (rng.normal(size=(n, 30)).astype(np.float32) for n in (120, 90))
    fakes[10:20] = fakes[:10]
    return reals, fakes


def test_squared_distances_are_equal_up_to_rounding_and_never_negative(sets: tuple[np.ndarray, np.ndarray]):
    for a, b in (sets, (sets[1], sets[1]), (sets[0][::2], sets[1][:, :].copy(order="F"))):
        found = ON_DEVICE(a, b)
        np.testing.assert_allclose(found, squared_distances(a, b), rtol=1e-12, atol=1e-12)
        assert found.dtype == np.float64
        assert found.min() >= 0
        found[0, 0] = np.inf  # callers write into it


def test_every_figure_that_uses_distances_is_the_same(sets: tuple[np.ndarray, np.ndarray]):
    reals, fakes = sets
    assert prdc(reals, fakes, 5, ON_DEVICE) == prdc(reals, fakes, 5)
    radius = duplicate_radius(own_distances(reals))
    assert duplicate_radius(own_distances(reals, pairwise=ON_DEVICE)) == pytest.approx(radius)
    there, here = (own_distances(fakes, [1], radius, pairwise) for pairwise in (ON_DEVICE, squared_distances))
    assert median_nearest_distance(there) == pytest.approx(median_nearest_distance(here))
    assert near_duplicate_rate(there) == near_duplicate_rate(here) == pytest.approx(20 / 90)
    assert support_size(there) == support_size(here)
    assert nearest_distances(fakes, reals, ON_DEVICE) == pytest.approx(nearest_distances(fakes, reals))
    chosen = np.arange(50)
    assert leave_one_out_distances(reals, chosen, ON_DEVICE) == pytest.approx(leave_one_out_distances(reals, chosen))


def test_the_cpu_keeps_numpys_and_a_gpu_has_its_own():
    assert Context(options=Comparison()).pairwise is squared_distances
    assert Context(options=Comparison(), device=torch.device("cuda")).pairwise is not squared_distances
