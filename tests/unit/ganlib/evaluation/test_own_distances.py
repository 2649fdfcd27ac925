"""Distances that measures share are, bit for bit, those that each computed by itself; and nothing is computed twice."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ganlib.evaluation.blocks import one_blas_thread
from ganlib.evaluation.measures import table
from ganlib.evaluation.measures.neighbours import BLOCK, ROUNDING, own_distances, squared_distances
from ganlib.evaluation.measures.table import Context, SampleSet, measure_subset
from ganlib.spec.evaluation import Comparison

K = 5


def radii_alone(features: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    found: list[NDArray[np.float64]] = []
    for first in range(0, len(features), BLOCK):
        squares = squared_distances(features[first : first + BLOCK], features)
        squares[np.arange(len(squares)), np.arange(first, first + len(squares))] = 0
        found.append(np.partition(squares, k, axis=1)[:, k])
    return np.concatenate(found)


def pairs_alone(features: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Every pair once, computed as such and not as a part of all distances."""
    squares = (features.astype(np.float64) ** 2).sum(1)
    for first in range(0, len(features), BLOCK):
        block = squared_distances(features[first : first + BLOCK], features[first:])
        block[block < ROUNDING * (squares[first : first + len(block), None] + squares[None, first:])] = 0
        block[np.tril_indices(len(block))] = np.inf
        yield first, np.sqrt(block)


def drawn(n: int, d: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(n * d)
    features = rng.normal(size=(n, d)).astype(np.float32)
    features[n // 2 : n // 2 + n // 10] = features[: n // 10]
    return features


@pytest.mark.parametrize(("n", "d"), [(40, 2), (500, 320), (1024, 64), (1025, 784), (2500, 100)])
def test_each_figure_has_the_bits_that_it_has_alone(n: int, d: int) -> None:
    features = drawn(n, d)
    nearest, repeats, pairs = np.full(n, np.inf), np.zeros(n, bool), 0
    with one_blas_thread():
        radius = float(np.median(np.sqrt(radii_alone(features, K))))
        for first, block in pairs_alone(features):
            rows, near = slice(first, first + len(block)), block <= radius
            nearest[rows] = np.minimum(nearest[rows], block.min(1))
            nearest[first:] = np.minimum(nearest[first:], block.min(0))
            repeats[rows] |= near.any(1)
            repeats[first:] |= near.any(0)
            pairs += int(near.sum())
        alone = {k: radii_alone(features, k) for k in (1, K)}
    found = own_distances(features, (K, 1), radius)
    for k, radii in alone.items():
        np.testing.assert_array_equal(found.squared_radii[k], radii)
    np.testing.assert_array_equal(found.nearest, nearest)
    np.testing.assert_array_equal(found.repeats, repeats)
    assert found.pairs == pairs > 0


def test_an_evaluation_computes_distances_among_its_fakes_once_and_among_reals_never_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed: list[tuple[int, int]] = []

    def counted(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
        computed.append((len(a), len(b)))
        return squared_distances(a, b)

    monkeypatch.setattr(table, "squared_distances", counted)
    context = Context(options=Comparison(measures=("prdc", "repetition")))
    reals, *epochs = (SampleSet(samples=x, features=x) for x in (drawn(60, 4), drawn(50, 4), drawn(50, 5)[:, :4]))
    for fakes in epochs:
        measure_subset(reals, fakes, context)
    # among the reals twice, and once a training: radii first, then what lies in balls of clipped radii
    assert sorted(computed) == [(50, 50), (50, 50), (60, 50), (60, 50), (60, 60), (60, 60)]
