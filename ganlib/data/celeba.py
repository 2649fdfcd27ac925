"""CelebA through torchvision, from the data directory: its server refuses most downloads, so none is tried."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import CelebA

from ganlib.data.resize import cut
from ganlib.spec.catalog import DatasetUnavailable

PICTURES = "img_align_celeba"


def load_celeba(
    data_dir: Path, *, train: bool = True, limit: int | None = None, crop: bool = True, side: int | None = None
) -> NDArray[np.uint8]:
    """The first `limit` images [n, 3, height, width] of a split, cut to size as they are read.

    Raises:
        DatasetUnavailable: it is not in `data_dir`, or a picture is damaged; the message names it.
    """
    folder = data_dir / CelebA.base_folder
    try:
        found = CelebA(data_dir, split="train" if train else "test", target_type=[], download=False)
    except RuntimeError:
        lists = ", ".join(name for *_, name in CelebA.file_list if name.endswith(".txt"))
        raise DatasetUnavailable(
            f"dataset.name: 'celeba' is not in {data_dir.absolute()}, and its server lets no program download it. Put "
            f"the folder {PICTURES} and the files {lists} into {folder.absolute()}, or upload pictures of your own: "
            f"ganclinic upload PATH"
        ) from None

    def read(name: str) -> NDArray[np.uint8]:
        return _read(folder / PICTURES / name, crop, side)

    names = [str(name) for name in cast("list[Any]", found.filename)[:limit]]
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes beside other threads
        first = read(names[0])
        images = np.empty((len(names), *first.shape), np.uint8)
        for index, pixels in enumerate(threads.map(read, names)):
            images[index] = pixels
    return images


def _read(path: Path, crop: bool, side: int | None) -> NDArray[np.uint8]:
    """[3, height, width]."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except OSError as error:
        raise DatasetUnavailable(f"dataset.name: the picture {path} of 'celeba' cannot be read ({error})") from None
    return cut(pixels[None], crop=crop, side=side)[0]
