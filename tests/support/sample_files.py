"""Files and archives of samples, made in memory, and how they are read."""

import io
import tarfile
import tempfile
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganlib.data.archives import InvalidUpload, Limits, ReadSamples, read_samples

LIMITS = Limits(min_samples=2)


GIB = 1024**3


def bytes_of(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def npy(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def picture(pixels: np.ndarray, format: str = "PNG", mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, format=format)
    return file.getvalue()


PICTURES = {f"{number}.png": picture(bytes_of(number, 4, 5)) for number in range(3)}


PIXELS = np.stack([bytes_of(number, 4, 5) for number in range(3)])[:, None]


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(entries: dict[str, bytes], mode: Any = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content), tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def tar_gz(entries: dict[str, bytes]) -> bytes:
    return tarred(entries, "w:gz")


def read_all(content: bytes, limits: Limits = LIMITS, image_size: int | None = None) -> ReadSamples:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        return read_samples(file, limits, image_size)


def read(content: bytes) -> np.ndarray:
    return np.array(read_all(content).array)


def refused(content: bytes, words: str, limits: Limits = LIMITS) -> None:
    with pytest.raises(InvalidUpload, match=words):
        read_all(content, limits)
