"""NDB: against its authors' code, textbook formulas, independent implementations and its own null."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest, chi2_contingency, norm

from ganlib.evaluation.measures import ndb
from tests.support.ndb_cases import NdbCase, ndb_cases

REFERENCE = json.loads(Path(__file__).with_name("ndb_reference.json").read_text())  # made by bench/ndb_reference.py

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


@given(real=counts, fake=counts)
@settings(deadline=None)
def test_a_bin_is_missing_where_its_exact_bound_is_below_a_quarter(real, fake):
    size = min(len(real), len(fake))
    real, fake = real[:size], fake[:size]
    if not real.sum() or not fake.sum():
        return
    for r, f, row in zip(real.tolist(), fake.tolist(), ndb.compare_bins(real, fake), strict=True):
        assert row.missing == (row.ratio_upper < ndb.MISSING_SHARE)
        if r == 0:
            assert np.isnan(row.ratio_upper) if f == 0 else row.ratio_upper == np.inf
            continue
        share = binomtest(f, r + f).proportion_ci(0.9, "exact").high  # two-sided 90 %: its upper end is one-sided 95 %
        expected = share / (1 - share) * real.sum() / fake.sum() if share < 1 else np.inf
        assert row.ratio_upper == pytest.approx(expected, rel=1e-6)


def test_the_bound_on_a_missing_bin_covers_the_truth():
    rng = np.random.default_rng(0)
    truth, trials = 0.25, 4000
    real, fake = rng.binomial(5000, 0.04, trials), rng.binomial(1000, 0.04 * truth, trials)
    found = [
        ndb.is_missing(np.array([r, 5000 - r]), np.array([f, 1000 - f]))[0] for r, f in zip(real, fake, strict=True)
    ]
    assert np.mean(found) < 0.06  # at most .05, with a standard error of .0034


@given(real=counts, fake=counts)
@settings(deadline=None)
def test_chi_square_is_scipys(real, fake):
    size = min(len(real), len(fake))
    real, fake = real[:size], fake[:size]
    used = real + fake > 0
    if not real.sum() or not fake.sum() or used.sum() < 2:
        return
    statistic, p, _, _ = chi2_contingency(np.stack([real[used], fake[used]]), correction=False)
    assert ndb.chi_square(real, fake) == pytest.approx((statistic, p), rel=1e-9, abs=1e-12)


def test_chi_square_of_one_bin_says_nothing():
    assert ndb.chi_square(np.array([50, 0]), np.array([70, 0])) == (0.0, 1.0)


def ten_modes(n: int, rng: np.random.Generator, modes: int = 10) -> np.ndarray:
    angles = 2 * np.pi * rng.integers(0, modes, n) / 10
    return (np.stack([np.cos(angles), np.sin(angles)], 1) + rng.normal(0, 0.03, (n, 2))).astype(np.float32)


def test_few_bins_see_one_missing_mode_of_ten_in_256_fakes_and_a_hundred_do_not():
    rng = np.random.default_rng(0)
    reals = ten_modes(10_000, rng)
    few = ndb.fit_bins(reals, 10, np.random.default_rng(1), starts=10)
    many = ndb.fit_bins(reals, 100, np.random.default_rng(1))
    missing = [ten_modes(256, rng, modes=9) for _ in range(200)]

    def power(bins: ndb.Bins) -> float:
        return float(np.mean([ndb.chi_square(bins.counts, bins.count(fakes))[1] < 0.001 for fakes in missing]))

    assert power(few) >= 0.95
    assert power(many) < 0.5
    same = [ndb.chi_square(few.counts, few.count(ten_modes(256, rng)))[1] for _ in range(500)]
    assert np.mean(np.array(same) < 0.05) == pytest.approx(0.05, abs=0.03)  # the null: standard error .01


def test_real_data_fall_inside_the_null():
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.full(20, 5.0))
    trials = [(rng.multinomial(5000, share), rng.multinomial(1000, share)) for _ in range(200)]
    observed = [float(ndb.ndb_over_k(real, fake)) for real, fake in trials]
    null = ndb.null_of_bins(*trials[0], np.random.default_rng(1))["ndb_over_k"]
    assert np.mean(observed) == pytest.approx(0.05, abs=0.01)  # n = 200 trials of 20 bins: standard error .004
    assert null.mean == pytest.approx(np.mean(observed), abs=0.015)
    assert np.mean(np.array(observed) <= null.q95) >= 0.9


def given_bins(case: NdbCase) -> ndb.Bins:
    """The case's own centres, with the training data counted into them."""
    reals = case.reals[:, case.dims]
    bins = ndb.Bins(
        centres=case.centres[:, case.dims].astype(np.float32),
        counts=np.zeros(len(case.centres), np.int64),
        dims=case.dims,
        offset=reals.mean(0) if case.whiten else np.zeros(len(case.dims), np.float32),
        scale=reals.std(0) + ndb.WHITENING_EPS if case.whiten else np.ones(len(case.dims), np.float32),
    )
    return replace(bins, counts=bins.count(case.reals))


@pytest.mark.parametrize("name", list(ndb_cases()))
def test_flags_shares_and_divergence_are_those_of_the_authors_code(name):
    case, expected = ndb_cases()[name], REFERENCE[name]
    bins = given_bins(case)
    counts = bins.count(case.fakes)
    rows = ndb.compare_bins(bins.counts, counts)
    assert [r.real for r in rows] == pytest.approx(expected["real"], abs=1e-12)
    assert [r.fake for r in rows] == pytest.approx(expected["fake"], abs=1e-12)
    assert [i for i, r in enumerate(rows) if r.different] == expected["different"]
    assert ndb.jensen_shannon(bins.counts, counts) == pytest.approx(expected["js"], abs=1e-9)


def test_bins_find_the_modes_and_assign_to_the_nearest_centre():
    rng = np.random.default_rng(3)
    centres = np.array([[0, 0], [10, 0], [0, 10]], dtype=np.float32)
    points = np.repeat(centres, [60, 30, 10], axis=0) + rng.normal(0, 0.1, (100, 2)).astype(np.float32)
    bins = ndb.fit_bins(points, 3, np.random.default_rng(0), starts=5)
    assert list(bins.counts) == [60, 30, 10]
    assert np.abs(bins.centres - centres).max() < 0.2
    assert list(bins.count(np.array([[9, 1], [1, 9], [0, 8]], dtype=np.float32))) == [0, 1, 2]


def test_whitened_bins_ignore_the_units_of_a_feature():
    points = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    scaled = points * np.array([1, 1024, 2**-10], dtype=np.float32) + 5
    one = ndb.fit_bins(points, 5, np.random.default_rng(1), whiten=True)
    two = ndb.fit_bins(scaled, 5, np.random.default_rng(1), whiten=True)
    assert (one.assign(points) == two.assign(scaled)).mean() > 0.99


def test_bins_on_some_features_look_at_no_others():
    points = np.random.default_rng(0).normal(size=(400, 30)).astype(np.float32)
    bins = ndb.fit_bins(points, 5, np.random.default_rng(1), max_dims=4)
    other = points.copy()
    other[:, np.setdiff1d(np.arange(30), bins.dims)] = 99
    assert bins.centres.shape == (5, 4)
    assert (bins.assign(other) == bins.assign(points)).all()


def test_bins_are_bit_identical_when_fitted_again():
    points = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
    one, two = (ndb.fit_bins(points, 8, np.random.default_rng(5)) for _ in range(2))
    assert one.centres.tobytes() == two.centres.tobytes()


def test_a_constant_image_as_data_still_gives_bins():
    bins = ndb.fit_bins(np.ones((60, 4), dtype=np.float32), 2, np.random.default_rng(0))
    assert bins.counts.sum() == 60


def test_k_follows_the_sample_counts():
    assert ndb.choose_num_bins(5851, 1000) == 40
    assert ndb.choose_num_bins(60_000, 50_000) == 100
    with pytest.raises(ndb.TooFewSamples, match="at least 2500"):
        ndb.choose_num_bins(5851, 1000, fixed=100)
