"""NDB: against textbook formulas, independent implementations and its own null."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm

from ganlib.evaluate import ndb

counts = st.lists(st.integers(0, 400), min_size=2, max_size=40).filter(lambda c: sum(c) > 0).map(np.array)


def test_z_is_the_textbook_value_for_unequal_counts():
    # 120 of 2000 reals and 45 of 500 fakes: pooled .066, z = .03 / sqrt(.066 * .934 * (1/2000 + 1/500))
    z = ndb.two_proportion_z(np.array([120, 1880]), np.array([45, 455]))
    assert z[0] == pytest.approx(0.03 / np.sqrt(0.066 * 0.934 * 0.0025))
    assert z[1] == pytest.approx(-z[0])


@given(real=counts, fake=counts)
@settings(deadline=None)
def test_flags_are_those_of_an_independent_normal_test(real, fake):
    size = min(len(real), len(fake))
    real, fake = real[:size], fake[:size]
    if not real.sum() or not fake.sum():
        return
    for row, a, b in zip(ndb.compare_bins(real, fake), real, fake, strict=True):
        pooled = (a + b) / (real.sum() + fake.sum())
        if pooled in (0, 1):
            assert (row.different, row.p, row.z) == (False, 1, 0)
            continue
        error = np.sqrt(pooled * (1 - pooled) * (1 / real.sum() + 1 / fake.sum()))
        p = 2 * norm.sf(abs(a / real.sum() - b / fake.sum()) / error)
        assert row.p == pytest.approx(p, abs=1e-12)
        assert row.different == (p < 0.05)


@given(real=counts, fake=counts)
@settings(deadline=None)
def test_jensen_shannon_is_scipys_in_nats(real, fake):
    size = min(len(real), len(fake))
    real, fake = real[:size], fake[:size]
    if real.sum() and fake.sum():
        expected = jensenshannon(real / real.sum(), fake / fake.sum()) ** 2
        assert ndb.jensen_shannon(real, fake) == pytest.approx(expected, abs=1e-9)


@given(real=counts, order=st.randoms())
@settings(deadline=None)
def test_identical_counts_differ_nowhere_and_the_order_of_bins_does_not_matter(real, order):
    assert ndb.ndb_over_k(real, real) == 0
    assert ndb.jensen_shannon(real, real) == pytest.approx(0, abs=1e-12)
    shuffled = list(range(len(real)))
    order.shuffle(shuffled)
    fake = real[::-1]
    for measure in ndb.MEASURES.values():
        assert measure(real[shuffled], fake[shuffled]) == pytest.approx(measure(real, fake), abs=1e-12)


def test_bins_empty_or_full_on_both_sides_are_the_same():
    rows = ndb.compare_bins(np.array([50, 0]), np.array([70, 0]))
    assert [r.different for r in rows] == [False, False]


def test_missing_mass_is_the_training_mass_of_what_fakes_leave_out():
    real = np.array([300, 300, 300, 100])
    assert ndb.missing_mass(real, np.array([300, 300, 300, 100])) == 0
    assert ndb.missing_mass(real, np.array([500, 500, 0, 0])) == pytest.approx(0.4)
    assert ndb.missing_mass(real, np.array([1000, 0, 0, 0])) == pytest.approx(0.7)


def test_too_few_samples_do_not_prove_that_a_bin_is_missing():
    assert ndb.missing_mass(np.array([900, 100]), np.array([10, 0])) == 0


def test_real_data_fall_inside_the_null():
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.full(20, 5.0))
    trials = [(rng.multinomial(5000, share), rng.multinomial(1000, share)) for _ in range(200)]
    observed = [float(ndb.ndb_over_k(real, fake)) for real, fake in trials]
    null = ndb.null_of_bins(*trials[0], np.random.default_rng(1))["ndb_over_k"]
    assert np.mean(observed) == pytest.approx(0.05, abs=0.01)  # n = 200 trials of 20 bins: standard error .004
    assert null.mean == pytest.approx(np.mean(observed), abs=0.015)
    assert np.mean(np.array(observed) <= null.q95) >= 0.9


def test_bins_find_the_modes_and_assign_to_the_nearest_centre():
    rng = np.random.default_rng(3)
    centres = np.array([[0, 0], [10, 0], [0, 10]], dtype=np.float32)
    points = np.repeat(centres, [60, 30, 10], axis=0) + rng.normal(0, 0.1, (100, 2)).astype(np.float32)
    bins = ndb.fit_bins(points, 3, np.random.default_rng(0))
    assert list(bins.counts) == [60, 30, 10]
    assert np.abs(bins.centres - centres).max() < 0.2
    assert list(ndb.bin_counts(bins.centres, np.array([[9, 1], [1, 9], [0, 8]], dtype=np.float32))) == [0, 1, 2]


def test_bins_are_bit_identical_when_fitted_again():
    points = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
    one, two = (ndb.fit_bins(points, 8, np.random.default_rng(5)) for _ in range(2))
    assert one.centres.tobytes() == two.centres.tobytes()


def test_a_constant_image_as_data_still_gives_bins():
    with pytest.warns(UserWarning, match="distinct clusters"):
        bins = ndb.fit_bins(np.ones((60, 4), dtype=np.float32), 2, np.random.default_rng(0))
    assert bins.counts.sum() == 60


def test_k_follows_the_sample_counts():
    assert ndb.choose_num_bins(5851, 1000) == 40
    assert ndb.choose_num_bins(60_000, 50_000) == 100
    with pytest.raises(ndb.TooFewSamples, match="at least 2500"):
        ndb.choose_num_bins(5851, 1000, fixed=100)
