"""Which scale the pixels of a file have, told by what they reach. Imports no torch.

A file is told by itself: fakes in [-1, 1] beside reals in [0, 1] are as common as both alike, and score 0 unscaled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEGATIVE = -0.25  # below this pixels are of [-1, 1], above it rounding or a resize
NEAR = 0.05  # of an end of a scale: data reach both ends of theirs, but for so much
LARGEST = 1.5  # of [0, 1] and [-1, 1]: a little more than 1 is a resize's


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How pixels are written, and how they become [-1, 1]."""

    name: str
    middle: float
    half: float
    """Half of the distance of its ends."""

    def signed(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixels in [-1, 1]."""
        return pixels if self is SIGNED else (pixels - np.float32(self.middle)) / np.float32(self.half)

    def reaches(self, low: float, high: float) -> bool:
        """Whether pixels from `low` to `high` reach both ends of it, and no further."""
        ends = (low - self.middle) / self.half, (high - self.middle) / self.half
        return abs(ends[0] + 1) <= 2 * NEAR and abs(ends[1] - 1) <= 2 * NEAR


SIGNED = Scale(name="[-1, 1]", middle=0, half=1)
UNIT = Scale(name="[0, 1]", middle=0.5, half=0.5)
HALF = Scale(name="[-.5, .5]", middle=0, half=0.5)
LEVELS = Scale(name="[0, 255]", middle=127.5, half=127.5)


def span(pixels: NDArray[Any]) -> tuple[float, float]:
    """The lowest and the highest finite value; both 0 where there is none."""
    finite = pixels[np.isfinite(pixels)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def scale_of_reals(low: float, high: float) -> Scale | None:
    """The scale of data from `low` to `high`; None where it has none of them."""
    for scale in (HALF, LEVELS):
        if scale.reaches(low, high):
            return scale
    if max(abs(low), abs(high)) > LARGEST:
        return None
    return SIGNED if low < NEGATIVE else UNIT


def scale_of_fakes(low: float, high: float, of_reals: Scale | None) -> Scale:
    """That of the reals, unless what the fakes reach is another one; `of_reals`: None where they are bytes.

    Fakes need not reach the ends of their scale, and where a training diverged they pass them.
    """
    own = of_reals or (SIGNED if low < NEGATIVE else UNIT)
    if own.reaches(low, high):
        return own
    for scale in (HALF, UNIT, SIGNED, LEVELS):
        if scale.reaches(low, high):
            return scale
    if own is UNIT and low < NEGATIVE:
        return SIGNED
    # Pixels that begin at 0 and go far: an activation that ends at -1 hardly stops there.
    return UNIT if own is SIGNED and abs(low) <= NEAR and UNIT.middle <= high <= LARGEST else own
