"""Diversity of images: against torchmetrics, a distance written out, and sets without any."""

import numpy as np
import pytest
import torch
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure

from ganlib.evaluation.measures.diversity import ms_ssim_diversity, perceptual_diversity, scale_weights


class Channels:
    """The image itself and its mean over places, as two layers."""

    def activations(self, images):
        return [images, images.mean((2, 3), keepdims=True)]


def noise(seed, n, c=1, side=28):
    return np.random.default_rng(seed).uniform(-1, 1, (n, c, side, side)).astype(np.float32)


def rng():
    return np.random.default_rng(0)


def test_ms_ssim_of_two_images_is_torchmetrics():
    images = noise(0, 1).repeat(2, axis=0)
    images[1] = np.clip(images[1] + 0.3 * noise(1, 1)[0], -1, 1)
    reference = MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0, betas=scale_weights(28))
    one, other = torch.from_numpy((images + 1) / 2)
    expected = float(reference(one[None], other[None]))
    assert 0.5 < expected < 0.99
    assert ms_ssim_diversity(images, rng(), pairs=60) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("images", [np.zeros((3, 1, 28, 28), dtype=np.float32), noise(0, 1, 3, 44).repeat(3, axis=0)])
def test_equal_images_have_no_diversity(images):
    assert ms_ssim_diversity(images, rng(), pairs=5) == pytest.approx(1)
    assert perceptual_diversity(images, Channels(), rng(), pairs=5) == 0


def test_images_of_independent_noise_are_not_alike():
    assert 0 <= ms_ssim_diversity(noise(0, 20), rng(), pairs=30) < 0.1


@pytest.mark.parametrize(("side", "scales"), [(11, 1), (21, 1), (22, 2), (28, 2), (44, 3), (99, 4), (176, 5), (512, 5)])
def test_scales_follow_the_size_and_weights_sum_to_1(side, scales):
    assert len(scale_weights(side)) == scales
    assert sum(scale_weights(side)) == pytest.approx(1)
    if side < 200:
        assert 0 <= ms_ssim_diversity(noise(0, 2, side=side), rng(), pairs=1) < 0.5


def test_the_same_generator_state_gives_the_same_pairs():
    images = noise(0, 30)
    assert ms_ssim_diversity(images, rng(), pairs=40) == ms_ssim_diversity(images, rng(), pairs=40)
    distances = [perceptual_diversity(noise(0, 30, 3), Channels(), rng(), pairs=40) for _ in range(2)]
    assert distances[0] == distances[1]


def test_perceptual_distance_is_the_mean_over_places_and_layers():
    images = np.zeros((2, 2, 1, 2), dtype=np.float32)
    images[0, :, 0] = [[3, 2], [0, 0]]  # both places point along channel 0, as does their mean
    images[1, :, 0] = [[5, 0], [0, 5]]  # one along each channel; their mean between the two
    first = (0 + 2) / 2  # unit vectors at right angles are √2 apart
    second = 2 - np.sqrt(2)  # at 45 degrees
    expected = pytest.approx((first + second) / 2)
    assert perceptual_diversity(images, Channels(), rng(), pairs=4) == expected


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="at least two images"):
        ms_ssim_diversity(noise(0, 1), rng())
    with pytest.raises(ValueError, match="at least two images"):
        perceptual_diversity(noise(0, 1), Channels(), rng())
    with pytest.raises(ValueError, match="at least 11 x 11"):
        ms_ssim_diversity(noise(0, 3, side=10), rng())
