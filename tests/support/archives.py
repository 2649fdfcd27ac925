"""Archives of small pictures, as people upload them."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image

from tests.support.uploads import pixels


def zipped(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def picture(image: Image.Image, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, format=format)
    return file.getvalue()


def pictures(count: int = 3, *shape: int) -> dict[str, bytes]:
    return {f"{n}.png": picture(Image.fromarray(pixels(n, *(shape or (8, 8, 3))))) for n in range(count)}


def npz(name: str, array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: array})  # pyright: ignore[reportArgumentType]  of numpy's own stub
    return file.getvalue()


def tar_gz(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()
