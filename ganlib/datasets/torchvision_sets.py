"""MNIST and Fashion-MNIST through torchvision: found in the data directory, else downloaded into it."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import MNIST, FashionMNIST

from ganlib.datasets.catalog import DatasetUnavailable
from ganlib.downloads import network_timeout

SETS: dict[str, type[MNIST]] = {"mnist": MNIST, "fashion-mnist": FashionMNIST}
NETWORK_TIMEOUT_S = 5  # torchvision tries two mirrors of MNIST one after the other: 10 s until the run fails


def load_torchvision(
    name: str, data_dir: Path, mirrors: Sequence[str] | None = None, *, train: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [n, 28, 28] and labels [n] of the training split, or of the test split, which comes with it.

    Files are checked against their MD5 sums. Several processes may ask at once: one downloads, the others wait.
    `mirrors` replaces torchvision's own addresses.

    Raises:
        DatasetUnavailable: naming what to do instead.
    """
    kind = SETS[name]
    found = _found(kind, data_dir, train=train)
    if found is None:
        _download(name, kind, data_dir, mirrors)
        found = kind(root=data_dir, train=train, download=False)
    return found.data.numpy(), found.targets.numpy().astype(np.int64)


def _found(kind: type[MNIST], data_dir: Path, *, train: bool) -> MNIST | None:
    try:
        return kind(root=data_dir, train=train, download=False)
    except RuntimeError:
        return None


def _download(name: str, kind: type[MNIST], data_dir: Path, mirrors: Sequence[str] | None) -> None:
    """Download into a directory beside the final one, then move it there whole."""
    with _exclusive(data_dir, name), tempfile.TemporaryDirectory(dir=data_dir, prefix=f".{name}-") as incoming:
        if _found(kind, data_dir, train=True) is not None:  # another process was quicker
            return
        source = type(kind.__name__, (kind,), {"mirrors": list(mirrors)}) if mirrors is not None else kind
        try:
            with network_timeout(NETWORK_TIMEOUT_S):
                source(root=incoming, train=True, download=True)
        except (OSError, RuntimeError, URLError) as error:
            cause = str(error).strip().splitlines()[-1]
            raise DatasetUnavailable(
                f"dataset.name: '{name}' is not in {data_dir.absolute()} and cannot be downloaded ({cause}). Put it "
                f"there, set GANCLINIC_DATA_DIR to a directory that has {kind.__name__}/raw, or use digits that need "
                f"no network: --set dataset.name=mnist-5k"
            ) from None
        shutil.rmtree(data_dir / kind.__name__, ignore_errors=True)  # an incomplete one, else it had been found
        (Path(incoming) / kind.__name__).rename(data_dir / kind.__name__)


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
