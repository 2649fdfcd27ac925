"""Polygons: all of them, each once, drawn as an independent rasteriser draws them, and far enough apart."""

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ganlib.data.polygons import NUM_POLYGONS, RADIUS, SIDE, SMALLEST_DISTANCE, all_polygons, draw_polygons


@pytest.fixture(scope="module")
def polygons() -> np.ndarray:
    return all_polygons()


def test_there_is_one_image_for_every_subset_of_at_least_three_of_twelve_points(polygons):
    assert polygons.shape == (sum(math.comb(12, corners) for corners in range(3, 13)), 28, 28)
    assert polygons.dtype == np.uint8
    assert len(polygons) == NUM_POLYGONS == len({image.tobytes() for image in polygons})


def test_no_two_polygons_are_nearer_than_the_stated_distance(polygons):
    pixels = polygons.reshape(NUM_POLYGONS, -1).astype(np.float64)  # whole numbers: exact
    squares = (pixels**2).sum(1)
    distances = squares[:, None] + squares[None] - 2 * pixels @ pixels.T
    np.fill_diagonal(distances, np.inf)
    assert np.sqrt(distances.min()) / 127.5 == pytest.approx(SMALLEST_DISTANCE, abs=1e-6)


@pytest.mark.parametrize("corners", [(0, 1, 2), (0, 4, 8), (1, 6, 7, 11), tuple(range(12))])
def test_a_polygon_is_what_an_independent_rasteriser_draws(polygons, corners):
    scale = 32
    angles = 2 * np.pi * np.array(corners) / 12
    points = scale * (SIDE / 2 + RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)) - 0.5
    canvas = Image.new("L", (SIDE * scale, SIDE * scale))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in points.tolist()], fill=255)
    drawn = np.asarray(canvas, dtype=np.float64).reshape(SIDE, scale, SIDE, scale).mean((1, 3))
    bits = [sum(1 << corner for corner in corners)]
    subsets = [number for number in range(2**12) if number.bit_count() >= 3]
    ours = polygons[subsets.index(bits[0])].astype(np.float64)
    assert np.abs(ours - drawn).max() < 0.08 * 255  # a pixel's coverage from 64 samples, and from 1,024
    assert ours.mean() == pytest.approx(drawn.mean(), rel=0.02)


def test_draws_come_from_the_seed_and_carry_their_index(polygons):
    images, indices = draw_polygons(300, np.random.default_rng(3))
    again, _ = draw_polygons(300, np.random.default_rng(3))
    assert (images == polygons[indices]).all()
    assert (images == again).all()
    assert len(set(indices.tolist())) > 250
