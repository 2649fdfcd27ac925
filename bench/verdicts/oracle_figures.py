"""What the oracle says of the fakes of one epoch, by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganlib.data.load import DataArrays
from ganlib.spec.run import RunSpec

FIGURES = ("missing", "quality", "spread", "copied", "finite")
"""`missing`: share of the data in modes that have less than a quarter of their share of the fakes; not a number where
too few fakes show anything. `quality`: share of fakes that show a mode, over the same share of reals. `spread`: mean
distance between two fakes over that between two reals. `copied`: share of fakes that are nearer to a training sample
than 95 % of other reals are. `finite`: share of fakes that are finite numbers."""

Ask = Callable[[RunSpec, DataArrays, NDArray[np.float32], Path], dict[str, float]]
"""FIGURES of a spec's data and fakes [n, *shape], as `oracle.oracle_figures`."""
