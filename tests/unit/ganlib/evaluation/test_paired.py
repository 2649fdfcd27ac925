"""Paired measures: against torchmetrics' classes and values known beforehand."""

import numpy as np
import pytest
import torch
from torchmetrics.image import StructuralSimilarityIndexMeasure
from torchmetrics.regression import MeanAbsoluteError

from ganlib.evaluation.measures.paired import l1, ssim


def noise(seed, n=120, c=1, side=16):
    return np.random.default_rng(seed).uniform(-1, 1, (n, c, side, side)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_both_are_torchmetrics_means_over_pairs(channels):
    a = noise(0, c=channels)
    b = np.clip(a + noise(1, c=channels) / 2, -1, 1).astype(np.float32)
    one, other = (torch.from_numpy((side + 1) / 2) for side in (a, b))
    assert ssim(a, b) == pytest.approx(float(StructuralSimilarityIndexMeasure(data_range=1.0)(one, other)), rel=1e-5)
    assert l1(a, b) == pytest.approx(float(MeanAbsoluteError()(torch.from_numpy(a), torch.from_numpy(b))), rel=1e-5)


def test_equal_images_are_wholly_similar_and_black_differs_from_white_by_2():
    a = noise(0, n=3)
    assert ssim(a, a) == pytest.approx(1)
    assert l1(a, a) == 0
    black = np.full((2, 1, 16, 16), -1, dtype=np.float32)
    assert l1(black, -black) == 2
    assert ssim(black, black) == pytest.approx(1)
    assert ssim(black, -black) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("measure", [l1, ssim])
def test_both_are_symmetric_and_refuse_what_is_not_paired(measure):
    a, b = noise(0, n=5), noise(1, n=5)
    assert measure(a, b) == pytest.approx(measure(b, a))
    for one, other in ((a, b[:4]), (a[:0], b[:0])):
        with pytest.raises(ValueError, match="one shape"):
            measure(one, other)


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match="at least 11 x 11 pixels; they are 10 x 10"):
        ssim(noise(0, side=10), noise(1, side=10))
