"""Which training samples each discriminator update sees."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.run import RunSpec


def batch_indices(spec: RunSpec, draw: int) -> NDArray[np.int64]:
    """Which training samples discriminator update number `draw` sees.

    Without replacement every pass over the data is one permutation cut into batches, the last one smaller.
    """
    size, batch = spec.dataset.size, spec.discriminator_batch_size
    if spec.training.sampling == "with_replacement":
        return numpy_generator(spec.seed, Stream.DATA_ORDER, draw).integers(0, size, batch)
    batches = math.ceil(size / batch)
    first = draw % batches * batch
    return _data_order(spec.seed, size, draw // batches)[first : first + batch].copy()


# A permutation of 60,000 takes longer than an MLP's discriminator update; 4: one each for several trainings.
@lru_cache(maxsize=4)
def _data_order(seed: int, size: int, number: int) -> NDArray[np.int64]:
    """The order of pass `number` over the data."""
    return numpy_generator(seed, Stream.DATA_ORDER, number).permutation(size)
