"""Data sets through torchvision: found in the data directory, else downloaded into it."""

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import CIFAR10, KMNIST, MNIST, FashionMNIST

from ganlib.data.downloads import network_timeout
from ganlib.spec.catalog import DatasetUnavailable

logger = logging.getLogger(__name__)

NETWORK_TIMEOUT_S = 5  # torchvision tries two mirrors of MNIST one after the other: 10 s until the run fails


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    kind: type[MNIST] | type[CIFAR10]
    folder: str
    """Where torchvision puts it, in the data directory."""

    @property
    def place(self) -> str:
        """The folder that holds its files, for people."""
        return f"{self.folder}/raw" if issubclass(self.kind, MNIST) else self.folder

    def at(self, mirrors: Sequence[str] | None) -> type[MNIST] | type[CIFAR10]:
        """Its class, with other addresses where some are given."""
        if mirrors is None:
            return self.kind
        places = (
            {"mirrors": list(mirrors)} if issubclass(self.kind, MNIST) else {"url": f"{mirrors[0]}{self.kind.filename}"}
        )
        return cast("type[MNIST] | type[CIFAR10]", type(self.kind.__name__, (self.kind,), places))


SETS: dict[str, _Set] = {
    "mnist": _Set(kind=MNIST, folder="MNIST"),
    "fashion-mnist": _Set(kind=FashionMNIST, folder="FashionMNIST"),
    "kmnist": _Set(kind=KMNIST, folder="KMNIST"),
    "cifar10": _Set(kind=CIFAR10, folder=CIFAR10.base_folder),
}


def load_torchvision(
    name: str, data_dir: Path, mirrors: Sequence[str] | None = None, *, train: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [n, channels, height, width] and labels [n] of the training split, or of the test split beside it.

    Files are checked against their MD5 sums. Several processes may ask at once: one downloads, the others wait.
    A folder that has the set's name and not the set is kept under another name. `mirrors` replaces torchvision's own
    addresses.

    Raises:
        DatasetUnavailable: naming what to do instead.
    """
    wanted = SETS[name]
    found = _found(wanted, data_dir, train=train)
    if found is None:
        _download(name, wanted, data_dir, mirrors)
        found = wanted.kind(root=data_dir, train=train, download=False)
    images, labels = np.asarray(found.data, np.uint8), np.asarray(found.targets, np.int64)
    return (images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)), labels


def _found(wanted: _Set, data_dir: Path, *, train: bool) -> MNIST | CIFAR10 | None:
    try:
        return wanted.kind(root=data_dir, train=train, download=False)
    except RuntimeError:
        return None


def _download(name: str, wanted: _Set, data_dir: Path, mirrors: Sequence[str] | None) -> None:
    """Download into a directory beside the final one, then move it there whole."""
    with _exclusive(data_dir, name), tempfile.TemporaryDirectory(dir=data_dir, prefix=f".{name}-") as incoming:
        if _found(wanted, data_dir, train=True) is not None:  # another process was quicker
            return
        try:
            with network_timeout(NETWORK_TIMEOUT_S):
                wanted.at(mirrors)(root=incoming, train=True, download=True)
        except (OSError, RuntimeError, URLError) as error:
            cause = str(error).strip().splitlines()[-1]
            raise DatasetUnavailable(
                f"dataset.name: '{name}' is not in {data_dir.absolute()} and cannot be downloaded ({cause}). Put it "
                f"there, set GANCLINIC_DATA_DIR to a directory that has {wanted.place}, or use digits that need "
                f"no network: --set dataset.name=mnist-5k"
            ) from None
        _put(name, Path(incoming) / wanted.folder, data_dir / wanted.folder)


def _put(name: str, downloaded: Path, place: Path) -> None:
    """Moves the download to its place; what is there, half a set or something else, is somebody's, and kept beside."""
    try:
        if os.path.lexists(place):
            asides = (place.with_name(f"{place.name}.kept-{number}") for number in count(1))
            aside = next(path for path in asides if not os.path.lexists(path))
            place.rename(aside)
            logger.warning("%s does not hold all of '%s': it is kept as %s", place, name, aside)
        downloaded.rename(place)
    except OSError as error:
        raise DatasetUnavailable(
            f"dataset.name: '{name}' is downloaded, but cannot be put at {place.absolute()} ({error.strerror}): move "
            f"away what is there, or set GANCLINIC_DATA_DIR to another directory"
        ) from None


@contextmanager
def _exclusive(data_dir: Path, name: str) -> Iterator[None]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / f".{name}.lock").open("w")
    except OSError as error:
        raise DatasetUnavailable(
            f"dataset.name: '{name}' is not in {data_dir.absolute()}, and nothing can be written there "
            f"({error.strerror}): set GANCLINIC_DATA_DIR to a writable directory, or use --set dataset.name=mnist-5k"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed
        yield
