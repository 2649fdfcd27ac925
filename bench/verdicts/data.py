"""The real data of the suite, and the reals that only the oracle sees."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from ganlib.data.archives import read_samples
from ganlib.data.load import DataArrays, UploadedFiles, load_dataset
from ganlib.data.samples import Limits
from ganlib.spec.data import Dataset, ImageDataset, UploadDataset

COLOUR_FILES = UploadedFiles(
    samples=Path(".ganclinic/bench/colour-samples.npy"), labels=Path(".ganclinic/bench/colour-labels.npy")
)
COLOUR_A_CLASS = 500
JUDGES = 20_000  # images that the oracle's classifier learns from


def training_data(dataset: Dataset, data_dir: Path, seed: int) -> DataArrays:
    """What a run of the suite trains on."""
    upload = COLOUR_FILES if isinstance(dataset, UploadDataset) else None
    return load_dataset(dataset, data_dir, seed, upload=upload)


def unpack_colour(archive: Path) -> None:
    """Writes the first images of each class of an archive of class folders to where the suite finds them."""
    if COLOUR_FILES.samples.exists():
        return
    found = read_samples(archive, Limits(), 32)
    assert found.labels is not None
    kept = np.concatenate([np.flatnonzero(found.labels == c)[:COLOUR_A_CLASS] for c in range(10)])
    apart = np.concatenate([np.flatnonzero(found.labels == c)[COLOUR_A_CLASS:] for c in range(10)])
    COLOUR_FILES.samples.parent.mkdir(parents=True, exist_ok=True)
    for rows, name in ((apart, "-apart"), (kept, "")):
        for path, values in ((COLOUR_FILES.labels, found.labels), (COLOUR_FILES.samples, found.array)):
            assert path is not None
            np.save(path.with_stem(path.stem + name), values[rows])


@lru_cache(maxsize=4)
def held_apart(name: str, data_dir: Path) -> DataArrays:
    """Labelled images of the data set that no run of the suite trains on, of all its classes."""
    if name == "upload":
        assert COLOUR_FILES.labels is not None
        samples = np.load(COLOUR_FILES.samples.with_stem(COLOUR_FILES.samples.stem + "-apart"))
        return DataArrays(samples=samples, labels=np.load(COLOUR_FILES.labels.with_stem("colour-labels-apart")))
    found = load_dataset(ImageDataset(name="mnist" if name == "mnist-5k" else "fashion-mnist"), data_dir, 0)
    seen = {image.tobytes() for image in load_dataset(ImageDataset(name="mnist-5k"), data_dir, 0).samples}
    unseen = np.array([image.tobytes() not in seen for image in found.samples])
    unseen[:5000] &= name == "mnist-5k"  # the suite trains on the first 5,000 of Fashion-MNIST
    return DataArrays(samples=found.samples[unseen][-JUDGES:], labels=found.labels[unseen][-JUDGES:])
