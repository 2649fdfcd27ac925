"""Images cut to size: the centre square, and resizing."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def cut(images: Pixels, *, crop: bool = False, side: int | None = None) -> Pixels:
    """Images [n, channels, height, width] as a spec asks for them: their centre square, then resized to `side`."""
    if crop:
        images = centre_square(images)
    return images if side is None or images.shape[2:] == (side, side) else resized(images, side)


def centre_square(images: Pixels) -> Pixels:
    """The largest square in the middle of images [..., height, width], without copying.

    What cannot be shared out evenly is a pixel more on the right and at the bottom.
    """
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


def resized(images: Pixels, side: int) -> Pixels:
    """Images [n, channels, height, width] with 1 or 3 channels as [n, channels, side, side], bicubic.

    Shrinking averages over all pixels (Pillow scales its filter), as Parmar et al. 2022 recommend; a filter of fixed
    size would alias, and aliasing is what a discriminator sees first.
    """
    small = np.empty((*images.shape[:2], side, side), np.uint8)
    for image, place in zip(images, small, strict=True):
        for channel, target in zip(image, place, strict=True):
            target[:] = np.asarray(Image.fromarray(channel).resize((side, side), Image.Resampling.BICUBIC))
    return small
