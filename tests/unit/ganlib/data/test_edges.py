"""Edges of images: the filter on literal values, and what it leaves alone."""

import numpy as np
import pytest

from ganlib.data.edges import edges_of


def test_a_flat_image_has_no_edges() -> None:
    assert (edges_of(np.full((2, 3, 9, 7), 77, np.uint8)) == 255).all()


@pytest.mark.parametrize(("step", "line"), [(10, 235), (100, 55), (128, 0), (255, 0)])
def test_a_step_is_a_line_of_two_pixels_as_dark_as_the_step_is_high(step: int, line: int) -> None:
    image = np.zeros((1, 1, 6, 8), np.uint8)
    image[..., 4:] = step
    expected = [255, 255, 255, line, line, 255, 255, 255]
    assert edges_of(image)[0, 0].tolist() == [expected] * 6
    assert edges_of(image.transpose(0, 1, 3, 2))[0, 0].T.tolist() == [expected] * 6


def test_a_single_pixel_gives_sobels_numbers() -> None:
    image = np.zeros((1, 1, 5, 5), np.uint8)
    image[0, 0, 2, 2] = 80
    corner, side = round(4 * 80 / 8 * 2**0.5), 4 * 80 * 2 // 8
    ring = [[corner, side, corner], [side, 0, side], [corner, side, corner]]
    assert (255 - edges_of(image)[0, 0, 1:4, 1:4].astype(int)).tolist() == ring


def test_colours_count_by_their_luminance() -> None:
    steps = np.zeros((3, 3, 4, 4), np.uint8)
    for channel in range(3):
        steps[channel, channel, :, 2:] = 100
    darkness = 255 - edges_of(steps)[:, 0, 0, 2].astype(int)
    assert darkness.tolist() == [60, 117, 23]  # 2 · 100 · (.299, .587, .114)


def test_each_image_is_drawn_by_itself_whatever_their_number() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1030, 3, 5, 6), np.uint8)
    drawn = edges_of(images)
    assert (drawn.shape, drawn.dtype) == ((1030, 1, 5, 6), np.uint8)
    assert (drawn[1029:] == edges_of(images[1029:])).all()
