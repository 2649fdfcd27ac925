"""Sample grids as PNG."""

import io

import numpy as np
from PIL import Image

from ganlib.pictures import bin_strip, sample_grid


def decoded(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def test_images_are_laid_out_row_by_row_in_a_square():
    samples = np.full((9, 1, 28, 28), -1, dtype=np.float32)
    samples[1] = 1
    grid = np.array(decoded(sample_grid(samples)))
    assert grid.shape == (3 * 58 + 2, 3 * 58 + 2)
    assert (grid[2:58, 60:116] == 255).all()
    assert (grid[2:58, 2:58] == 0).all()


def test_colour_images_keep_their_channels():
    samples = np.full((4, 3, 8, 8), -1, dtype=np.float32)
    samples[:, 0] = 1
    grid = np.array(decoded(sample_grid(samples)))
    assert tuple(grid[3, 3]) == (255, 0, 0)


def test_points_are_drawn_where_they_are_with_y_upwards():
    picture = np.array(decoded(sample_grid(np.array([[1.0, 1.0]], dtype=np.float32))))
    rows, columns = np.nonzero(picture < 255)
    assert rows.mean() < picture.shape[0] / 4
    assert columns.mean() > picture.shape[1] * 3 / 4


def test_samples_that_are_not_finite_are_drawn_all_the_same():
    assert decoded(sample_grid(np.full((4, 1, 28, 28), np.nan, dtype=np.float32))).size == (118, 118)
    assert decoded(sample_grid(np.full((4, 2), np.inf, dtype=np.float32))).size == (448, 448)


def test_a_strip_holds_the_mean_image_of_each_bin():
    images = np.array([-1, -1, 1, 0, 0.5], dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 3, 3), np.float32)
    pixels = np.asarray(Image.open(io.BytesIO(bin_strip(images, np.array([2, 0, 0, 1, 1]), 4))))
    assert pixels.shape == (3, 12)
    assert pixels[1, ::3].tolist() == [128, 159, 0, 0]  # means 0, .25 and -1; the last bin has no image


def test_a_strip_keeps_colours():
    images = np.zeros((2, 3, 4, 4), np.float32)
    images[0, 0], images[1, 2] = 1, 1
    pixels = np.asarray(Image.open(io.BytesIO(bin_strip(images, np.array([0, 1]), 2))))
    assert pixels[0, 0].tolist() == [255, 128, 128]
    assert pixels[0, 4].tolist() == [128, 128, 255]
