"""The pairs that are not trained on, as the generator sees them. Imports no torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganlib.data.load import DataArrays, as_float, scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Inputs and their targets, in an order of chance."""

    inputs: NDArray[np.float32]
    """[n, channels, height, width] in [-1, 1]."""
    targets: NDArray[np.float32]
    """[n, *shape] in [-1, 1]."""
    classes: NDArray[np.int64]
    """[n] class of each pair, numbered as those that are trained on."""


def held_out_of(data: DataArrays) -> HeldOut | None:
    """The held-out pairs of the data; None where the data are no pairs."""
    apart = data.held_out
    if apart is None or apart.inputs is None:
        return None
    return HeldOut(
        inputs=as_float(apart.inputs),
        targets=scaled(apart),
        classes=np.searchsorted(np.unique(data.labels), apart.labels),
    )
