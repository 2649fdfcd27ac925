"""Sample grids as PNG."""

import io

import numpy as np
from PIL import Image

from ganlib.plots.image_grids import bin_strip, pair_grid, sample_grid


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


def test_points_on_a_line_are_drawn_as_a_histogram():
    picture = np.array(decoded(sample_grid(np.array([[-1.2], [0.0], [0.0], [9.0]], dtype=np.float32))))
    heights = (picture < 255).sum(0)
    assert picture.shape == (448, 448)
    assert set(heights.tolist()) == {0, 224, 448}
    assert (heights[:8] == 224).all()  # columns of 8 pixels
    assert (heights[224:232] == 448).all()
    assert (heights[-8:] == 224).all()  # what lies further out is drawn at the edge
    assert (picture[:224, :8] == 255).all()  # upwards


def test_of_points_in_more_dimensions_two_are_drawn():
    points = np.random.default_rng(0).uniform(-1, 1, (20, 5)).astype(np.float32)
    assert sample_grid(points) == sample_grid(points[:, :2])


def test_pairs_are_shown_as_input_output_and_target_side_by_side():
    inputs, outputs, targets = (np.full((6, 1, 10, 10), level, dtype=np.float32) for level in (1, 0, -1))
    grid = np.array(decoded(pair_grid(inputs, outputs, targets)))
    assert grid.shape == (3 * 22 + 2, 2 * 62 + 2)
    assert (grid[2:22, 2:22] == 255).all()
    assert (grid[2:22, 22:42] == 128).all()
    assert (grid[2:22, 42:62] == 0).all()
    assert (grid[:, :2] == 64).all()


def test_grey_inputs_are_shown_beside_outputs_in_colour():
    red = np.full((1, 3, 8, 8), -1, dtype=np.float32)
    red[:, 0] = 1
    grid = np.array(decoded(pair_grid(np.zeros((1, 1, 8, 8), np.float32), red, red)))
    assert [tuple(grid[5, x]) for x in (5, 20, 40)] == [(128, 128, 128), (255, 0, 0), (255, 0, 0)]
