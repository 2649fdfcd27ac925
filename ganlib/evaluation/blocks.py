"""Work on the rows of large arrays, a block at a time: bounded memory, and the same bits on any number of threads."""

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")


def map_blocks(work: Callable[[slice], T], rows: int, block: int) -> Iterator[T]:
    """`work` on each block of rows, in order.

    Blocks run at once on the cores that this process may use. Each is computed on one thread of BLAS, and its size
    does not depend on the cores, so neither does any result.
    """
    slices = [slice(first, min(first + block, rows)) for first in range(0, rows, block)]
    threads = min(len(os.sched_getaffinity(0)), len(slices))
    with one_blas_thread():
        if threads <= 1:
            yield from map(work, slices)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(work, slices)


def one_blas_thread() -> AbstractContextManager[Any]:
    """NumPy and SciPy compute on one thread inside: more of them add up in another order."""
    return _blas().limit(limits=1)


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()  # finding the libraries takes milliseconds: once is enough
