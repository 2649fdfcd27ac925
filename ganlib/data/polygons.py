"""All convex polygons whose corners are some of 12 points on a circle: a finite set of small images.

After the polygons of Lucic et al. 2018, "Are GANs created equal?", whose manifold makes precision and recall
measurable. Here the manifold is a list of 4,017 images, so both are exact.
"""

import numpy as np
from numpy.typing import NDArray

NUM_POINTS = 12
NUM_POLYGONS = 2**NUM_POINTS - 1 - 12 - 66  # 4,017: less the empty set, single points and pairs
SIDE = 28
RADIUS = 13.0  # pixels: one pixel of margin
SUBPIXELS = 8  # samples along each side of a pixel; packed, one pixel's row of samples is one byte

SMALLEST_DISTANCE = 5.543539  # Euclidean, pixels in [-1, 1], between the two most alike; a test compares all pairs


def all_polygons() -> NDArray[np.uint8]:
    """Every polygon once, filled and anti-aliased, white on black: [4017, 28, 28].

    Their order is that of the binary numbers whose bit i says that point i is a corner.
    """
    halves = _half_planes()
    return np.stack([_rendered(halves, corners) for corners in _corner_sets()])


def draw_polygons(size: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [size, 28, 28] drawn uniformly with replacement, and the index [size] of each polygon."""
    indices = rng.integers(0, NUM_POLYGONS, size)
    return all_polygons()[indices], indices.astype(np.int64)


def _corner_sets() -> list[tuple[int, ...]]:
    subsets = (tuple(i for i in range(NUM_POINTS) if number >> i & 1) for number in range(2**NUM_POINTS))
    return [corners for corners in subsets if len(corners) >= 3]


def _half_planes() -> NDArray[np.uint8]:
    """[12, 12, 224, 28] packed: which samples lie to the left of the line from one point to another."""
    angles = 2 * np.pi * np.arange(NUM_POINTS) / NUM_POINTS
    points = RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = (np.arange(SIDE * SUBPIXELS) + 0.5) / SUBPIXELS - SIDE / 2
    y = x[:, None]
    start, end = points[:, None, :, None, None], points[None, :, :, None, None]
    along, across = (end - start)[:, :, 0], (end - start)[:, :, 1]
    cross = along * (y - start[:, :, 1]) - across * (x - start[:, :, 0])
    # samples on the line are inside, whatever the last bit of a cosine is
    return np.packbits(cross >= -1e-9, axis=-1)


def _rendered(halves: NDArray[np.uint8], corners: tuple[int, ...]) -> NDArray[np.uint8]:
    """[28, 28]: a convex polygon is what lies to the left of each of its edges."""
    following = (*corners[1:], corners[0])
    inside = np.bitwise_and.reduce(halves[list(corners), list(following)])
    covered = _BITS[inside].reshape(SIDE, SUBPIXELS, SIDE).sum(1)
    return np.rint(covered * (255 / SUBPIXELS**2)).astype(np.uint8)


_BITS = np.array([number.bit_count() for number in range(256)])
