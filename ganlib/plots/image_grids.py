"""Arrays to PNG: the grid of an epoch's samples, and the mean image of each bin."""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GAP_PX = 2
IMAGE_ZOOM = 2  # 28-pixel digits are hard to see one to one
POINTS_SIDE_PX = 448
POINTS_REACH = 1.2  # data reach ±.8 or so; what lies further out is drawn at the edge
POINT_RADIUS_PX = 2
COLUMNS = 56  # of a histogram, 8 pixels each


def sample_grid(samples: NDArray[np.float32]) -> bytes:
    """PNG of samples: images [n, channels, height, width] in [-1, 1] as a grid, points [n, d] as a scatter.

    Of points on a line it is a histogram, of others the first two coordinates are drawn. Values that are not finite
    are drawn black, or as -1 or 1.
    """
    finite = np.nan_to_num(samples, nan=-1.0, posinf=1.0, neginf=-1.0)
    if finite.ndim == 4:
        return _png(_image_grid(finite))
    return _png(_histogram(finite[:, 0]) if finite.shape[1] == 1 else _scatter(finite[:, :2]))


def pair_grid(inputs: NDArray[np.float32], outputs: NDArray[np.float32], targets: NDArray[np.float32]) -> bytes:
    """PNG of triplets side by side, input, output and target: images [n, channels, height, width] in [-1, 1].

    Inputs may have one channel where the others have three.
    """
    channels = max(images.shape[1] for images in (inputs, outputs, targets))
    alike = [
        np.broadcast_to(images, (len(images), channels, *images.shape[2:])) for images in (inputs, outputs, targets)
    ]
    return sample_grid(np.concatenate(alike, axis=3))


def bin_strip(images: NDArray[np.float32], bins: NDArray[np.int64], num_bins: int) -> bytes:
    """PNG of the mean image of each bin, side by side: images [n, channels, side, side] in [-1, 1], bins [n].

    In the space of pixels that is a bin's centre. A bin without images is black.
    """
    counts = np.bincount(bins, minlength=num_bins)
    sums = np.zeros((num_bins, *images.shape[1:]), dtype=np.float64)
    order = np.argsort(bins, kind="stable")
    filled = np.flatnonzero(counts)
    sums[filled] = np.add.reduceat(images[order], (np.cumsum(counts) - counts)[filled], axis=0, dtype=np.float64)
    means: NDArray[np.float32] = (sums / np.maximum(counts, 1)[:, None, None, None]).astype(np.float32)
    means[counts == 0] = -1
    return _png(np.concatenate(list(_pixels(means).transpose(0, 2, 3, 1)), axis=1))


def _image_grid(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[rows·(height + gap), columns·(width + gap), channels], as near to a square as it gets."""
    n, channels, height, width = samples.shape
    columns = math.ceil(math.sqrt(n * height / width))
    rows = math.ceil(n / columns)
    pixels = _pixels(samples).repeat(IMAGE_ZOOM, axis=2).repeat(IMAGE_ZOOM, axis=3)
    high, wide = height * IMAGE_ZOOM + GAP_PX, width * IMAGE_ZOOM + GAP_PX
    grid = np.full((rows * high + GAP_PX, columns * wide + GAP_PX, channels), 64, dtype=np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * high + GAP_PX, i % columns * wide + GAP_PX
        grid[top : top + high - GAP_PX, left : left + wide - GAP_PX] = image.transpose(1, 2, 0)
    return grid


def _pixels(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[-1, 1] to 0 … 255."""
    return np.round((images.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def _scatter(points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[side, side, 1]: white paper, dark dots, y upwards."""
    paper = np.full((POINTS_SIDE_PX, POINTS_SIDE_PX, 1), 255, dtype=np.uint8)
    unit = (points.clip(-POINTS_REACH, POINTS_REACH) / POINTS_REACH + 1) / 2
    margin = POINT_RADIUS_PX
    places = np.round(unit * (POINTS_SIDE_PX - 1 - 2 * margin)).astype(int) + margin
    for x, y in places:
        row = POINTS_SIDE_PX - 1 - y
        paper[row - margin : row + margin + 1, x - margin : x + margin + 1] = 40
    return paper


def _histogram(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[side, side, 1]: white paper, dark columns over -1.2 to 1.2, the fullest one as high as the paper."""
    reach = values.clip(-POINTS_REACH, POINTS_REACH)
    counts, _ = np.histogram(reach, bins=COLUMNS, range=(-POINTS_REACH, POINTS_REACH))
    heights = np.ceil(counts / counts.max() * POINTS_SIDE_PX).astype(int)
    rows = np.arange(POINTS_SIDE_PX, 0, -1)[:, None]  # height of each row's upper edge over the bottom
    columns = np.where(rows <= heights, 40, 255).astype(np.uint8)
    return columns.repeat(POINTS_SIDE_PX // COLUMNS, axis=1)[:, :, None]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
