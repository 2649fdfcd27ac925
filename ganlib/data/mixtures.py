"""Gaussian mixtures with known modes (Metz et al. 2017, Srivastava et al. 2017), scaled into [-1, 1].

`ring8`: 8 modes on a circle of radius 2, standard deviation .02. `grid25`: 25 modes on a grid from -4 to 4,
standard deviation .05. `mixture1d`: 5 modes on a line from -4 to 4, standard deviation .1; on a line, densities can be
drawn (Goodfellow et al. 2014, figure 1). All are divided so that the modes reach ±.8.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Equally likely Gaussian modes."""

    centres: NDArray[np.float64]
    """[modes, d]."""
    std: float
    """Of every mode, in every direction."""


def _ring8() -> Mixture:
    angles = 2 * np.pi * np.arange(8) / 8
    scale = 0.8 / 2
    return Mixture(centres=2 * scale * np.stack([np.cos(angles), np.sin(angles)], axis=1), std=0.02 * scale)


def _grid25() -> Mixture:
    scale = 0.8 / 4
    side = scale * np.linspace(-4, 4, 5)
    return Mixture(centres=np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), std=0.05 * scale)


def _mixture1d() -> Mixture:
    scale = 0.8 / 4
    return Mixture(centres=scale * np.linspace(-4, 4, 5)[:, None], std=0.1 * scale)


MIXTURES: dict[str, Mixture] = {"ring8": _ring8(), "grid25": _grid25(), "mixture1d": _mixture1d()}


def draw_mixture(name: str, size: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points [size, d] and the mode [size] that each was drawn from."""
    mixture = MIXTURES[name]
    modes = rng.integers(0, len(mixture.centres), size)
    points = mixture.centres[modes] + mixture.std * rng.standard_normal((size, mixture.centres.shape[1]))
    return points.astype(np.float32), modes.astype(np.int64)
