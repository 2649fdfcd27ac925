"""Which training samples each discriminator update sees."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.run import RunSpec


def batch_indices(spec: RunSpec, draw: int) -> NDArray[np.int64]:
    """Which training samples discriminator update number `draw` sees.

    Without replacement every pass over the data is one permutation cut into batches, the last one smaller.
    """
    return _batch(spec, draw, _kept_order)


class DataOrder:
    """The order of one run's data; for where more runs take turns than `batch_indices` keeps orders for."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self._order = lru_cache(maxsize=1)(_draw_order)

    def batch(self, draw: int) -> NDArray[np.int64]:
        """As `batch_indices`."""
        return _batch(self.spec, draw, self._order)


def _batch(spec: RunSpec, draw: int, order: Callable[[int, int, int], NDArray[np.int64]]) -> NDArray[np.int64]:
    size, batch = spec.dataset.size, spec.discriminator_batch_size
    if spec.training.sampling == "with_replacement":
        return numpy_generator(spec.seed, Stream.DATA_ORDER, draw).integers(0, size, batch)
    batches = math.ceil(size / batch)
    first = draw % batches * batch
    return order(spec.seed, size, draw // batches)[first : first + batch].copy()


def _draw_order(seed: int, size: int, number: int) -> NDArray[np.int64]:
    """The order of pass `number` over the data."""
    return numpy_generator(seed, Stream.DATA_ORDER, number).permutation(size)


# A permutation of 60,000 takes longer than an MLP's discriminator update; 4: one each for several trainings.
_kept_order = lru_cache(maxsize=4)(_draw_order)
