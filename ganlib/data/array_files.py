"""NumPy's files, read without trust: headers are checked before any value is read, and nothing is ever unpickled."""

import io
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ganlib.data.samples import InvalidUpload, Limits, check_header

MAGIC = b"\x93NUMPY"
HEADER_BYTES = 16_384  # NumPy itself reads no header beyond 10,000
COPY_BYTES = 1024 * 1024
ARRAY_NAMES = ("samples", "images", "features")
"""What an array is looked for as, where a file holds several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return self.offset + size


def read_npy(file: BinaryIO, limits: Limits) -> NDArray[Any]:
    """The array of an open .npy file, which stays in the file.

    Raises:
        InvalidUpload: there is none that may be read.
    """
    file.seek(0)
    header = _read_header(file.read(HEADER_BYTES), limits)
    return _map(file, header, file.seek(0, os.SEEK_END))


def read_npz(archive: ZipFile, entries: Sequence[ZipInfo], limits: Limits) -> NDArray[Any]:
    """The one array of an .npz file, or the one that is called as `ARRAY_NAMES` says; it lies in a scratch file.

    Raises:
        InvalidUpload: there is none that may be read.
    """
    info = _chosen(entries)
    with tempfile.TemporaryFile(dir=limits.scratch) as file, archive.open(info) as member:
        start = member.read(HEADER_BYTES)
        header = _read_header(start, limits)
        if header.size != info.file_size:
            raise _wrong_size(header, info.file_size)
        file.write(start)
        while content := member.read(COPY_BYTES):
            file.write(content)
        file.flush()
        return _map(file, header, file.tell())


def _chosen(entries: Sequence[ZipInfo]) -> ZipInfo:
    named = [entry for entry in entries if entry.filename.removesuffix(".npy") in ARRAY_NAMES]
    chosen = entries if len(entries) == 1 else named
    if len(chosen) != 1:
        found = ", ".join(f"{entry.filename.removesuffix('.npy')!r:.40}" for entry in entries[:5])
        raise InvalidUpload(f"holds the arrays {found}; save one, or call one of them {' or '.join(ARRAY_NAMES)}")
    return chosen[0]


_HEADERS: dict[tuple[int, int], Callable[[BinaryIO], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


def _read_header(start: bytes, limits: Limits) -> _Header:
    file = io.BytesIO(start)
    try:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise InvalidUpload("has columns with names; save plain numbers: uint8 pixels or float32 features")
        shape, is_fortran, dtype = _HEADERS[version](file)
    except InvalidUpload:
        raise
    except Exception as error:  # noqa: BLE001  the parsers behind it stumble over a damaged header in every way there is
        raise InvalidUpload(f"has a header that is not NumPy's ({str(error)[:100]}); save it with numpy.save") from None
    check_header(shape, dtype, limits)
    return _Header(shape=shape, dtype=dtype, order="F" if is_fortran else "C", offset=file.tell())


def _map(file: BinaryIO, header: _Header, size: int) -> NDArray[Any]:
    if header.size != size:
        raise _wrong_size(header, size)
    return np.memmap(file, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape, order=header.order)


def _wrong_size(header: _Header, size: int) -> InvalidUpload:
    return InvalidUpload(
        f"has {size:,} bytes, its header says {header.size:,} (shape {list(header.shape)}); save it again"
    )
