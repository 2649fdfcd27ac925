import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ganlib.records import STEP_COLUMNS
from store.runs import series
from store.runs.series import COLUMNS, COLUMNS_VERSION, downsample, pack, unpack

WIDTH = len(STEP_COLUMNS)


def ramp(num_steps: int) -> np.ndarray:
    return np.repeat(np.arange(num_steps, dtype=np.float32)[:, None], WIDTH, axis=1)


def test_blocks_are_written_with_the_columns_that_trainings_report() -> None:
    """When STEP_COLUMNS changes, COLUMNS needs a new version: old blocks must stay readable."""
    assert COLUMNS[COLUMNS_VERSION] == STEP_COLUMNS


@settings(deadline=None, max_examples=50)
@given(npst.arrays(np.float32, st.tuples(st.integers(0, 20), st.just(WIDTH))))
def test_a_block_gives_back_its_steps_bit_by_bit(steps: np.ndarray) -> None:
    unpacked = unpack(pack(steps))
    assert (unpacked.dtype, unpacked.shape) == (np.float32, steps.shape)
    assert unpacked.tobytes() == steps.tobytes()


def test_a_block_is_little_endian_and_row_by_row() -> None:
    steps = np.asfortranarray(ramp(2).astype(">f4"))
    assert pack(steps) == b"\0\0\0\0" * WIDTH + b"\0\0\x80\x3f" * WIDTH


def test_columns_that_an_old_block_lacks_are_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(series.COLUMNS, 0, ("g_loss", "retired"))
    unpacked = unpack(np.array([[1, 2], [3, 4]], "<f4").tobytes(), version=0)
    assert unpacked[:, STEP_COLUMNS.index("g_loss")].tolist() == [1, 3]
    assert np.isnan(np.delete(unpacked, STEP_COLUMNS.index("g_loss"), axis=1)).all()


def test_few_steps_are_left_as_they_are() -> None:
    buckets = downsample(ramp(3), 10, first_step=90)
    assert buckets.first_step.tolist() == [90, 91, 92]
    for values in (buckets.mean, buckets.minimum, buckets.maximum):
        np.testing.assert_array_equal(values, ramp(3))


def test_a_bucket_says_mean_and_extremes_of_its_steps() -> None:
    buckets = downsample(ramp(10), 3)
    assert buckets.first_step.tolist() == [0, 3, 6]
    assert buckets.mean[:, 0].tolist() == [1, 4, 7.5]
    assert buckets.minimum[:, 0].tolist() == [0, 3, 6]
    assert buckets.maximum[:, 0].tolist() == [2, 5, 9]


def test_a_step_that_is_not_finite_is_a_gap_in_the_mean_only() -> None:
    steps = ramp(6)
    steps[1, 0], steps[1, 1], steps[2, 1] = np.nan, np.inf, -np.inf
    buckets = downsample(steps, 2)
    assert np.isnan(buckets.mean[0, :2]).all()
    assert buckets.mean[1].tolist() == [4] * WIDTH
    assert (buckets.minimum[0, :2].tolist(), buckets.maximum[0, :2].tolist()) == ([0, 0], [2, 0])


def test_a_bucket_without_finite_steps_is_nan() -> None:
    buckets = downsample(np.full((4, WIDTH), np.inf, np.float32), 2)
    assert np.isinf(buckets.mean).all()
    assert np.isnan(buckets.minimum).all()
    assert np.isnan(buckets.maximum).all()


def test_no_steps_are_no_buckets() -> None:
    buckets = downsample(np.empty((0, WIDTH), np.float32), 5)
    assert (len(buckets.first_step), buckets.mean.shape, buckets.minimum.shape) == (0, (0, WIDTH), (0, WIDTH))


@settings(deadline=None, max_examples=50)
@given(num_steps=st.integers(1, 500), max_points=st.integers(1, 60))
def test_buckets_are_as_many_as_asked_for_and_nearly_equal(num_steps: int, max_points: int) -> None:
    buckets = downsample(ramp(num_steps), max_points)
    lengths = np.diff(buckets.first_step, append=num_steps)
    assert len(lengths) == min(num_steps, max_points)
    assert lengths.sum() == num_steps
    assert lengths.max() - lengths.min() <= 1
