"""Samples from outside, once they are read: what is checked of them, and how they are stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

BLOCK_BYTES = 16 * 1024**2
CHANNELS = (1, 3)
FLOAT_SIZES = (2, 4, 8)
RATIO_FREE_BYTES = 64 * 1024**2  # what unpacks to less is harmless, however well it was packed


class InvalidUpload(ValueError):
    """The file cannot be used; the message says why and what to do, and goes on where a field's name ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a file from outside may unpack to."""

    unpacked_bytes: int = 2 * 1024**3
    entries: int = 200_000
    """Of an archive, directories included."""
    pixels: int = 4096 * 4096
    """Of one picture."""
    ratio: int = 200
    """Unpacked bytes a byte of the file."""
    min_samples: int = 50
    generated: bool = False
    """Whether samples are a generator's, which may be all alike or not finite: that is what is looked for."""
    scratch: Path | None = None
    """Where unpacked data lies, in files without names; default: the system's directory for temporary files."""

    def check_unpacked(self, size: int, packed: int) -> None:
        """Returns where a file of `packed` bytes may unpack to `size`.

        Raises:
            InvalidUpload: it may not.
        """
        if size > self.unpacked_bytes:
            raise InvalidUpload(f"unpacks to {size:,} bytes; allowed: {self.unpacked_bytes:,}. Send fewer samples")
        if size > max(RATIO_FREE_BYTES, self.ratio * packed):
            raise InvalidUpload(
                f"unpacks to more than {self.ratio} times its size, as files do that are made to fill a disk; "
                "save it without compression"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSamples:
    """A set of samples that was read and checked."""

    array: NDArray[Any]
    """Images [n, channels, height, width] as uint8 with 1 or 3 channels, or floats [n, ...] of 2, 4 or 8 bytes. May
    lie in a file: read it in blocks."""
    labels: NDArray[np.int64] | None = None
    """[n] index into `class_names`; None where nothing tells classes apart."""
    class_names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.array.shape[1:]


def check_header(shape: tuple[int, ...], dtype: np.dtype[Any], limits: Limits) -> None:
    """Returns where an array of that shape and type may be read.

    Raises:
        InvalidUpload: it may not.
    """
    if dtype.hasobject:
        raise InvalidUpload("holds Python objects, which are never unpickled; save numbers: uint8 pixels or float32")
    if not (dtype == np.uint8 or (dtype.kind == "f" and dtype.itemsize in FLOAT_SIZES)):
        raise InvalidUpload(f"holds values of type {dtype!s:.60}; save pixels as uint8 (0 to 255), features as float32")
    if len(shape) < 2:
        raise InvalidUpload(f"has the shape {list(shape)}; samples need one row each: [n, features] or images")
    if min(shape) < 1:
        raise InvalidUpload(f"has the shape {list(shape)}, which holds no value at all")
    size = max(dtype.itemsize, stored_type(dtype).itemsize)
    for length in shape:
        size *= length
    limits.check_unpacked(size, size)


def as_samples(array: NDArray[Any], limits: Limits) -> ReadSamples:
    """An array of a checked header as samples.

    Floats stay as they are: [n, ...]. Bytes are images: [n, h, w] is grey; with four axes the channels are the last
    or the second one, whichever has length 1 or 3.

    Raises:
        InvalidUpload: it is not plain which axis holds what, samples are too few, all alike or not finite.
    """
    if len(array) < limits.min_samples:
        raise InvalidUpload(f"holds {len(array)} samples; at least {limits.min_samples} are needed")
    samples = ReadSamples(array=_channels_first(array) if array.dtype == np.uint8 else array)
    if not limits.generated:
        check_values(samples.array)
    return samples


def _channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """Images [n, channels, height, width], without copying."""
    shape = list(array.shape)
    if array.ndim == 3:
        return array[:, None]
    if array.ndim != 4:
        raise InvalidUpload(
            f"holds bytes of the shape {shape}, which are no images; images are [n, h, w], [n, h, w, channels] or "
            "[n, channels, h, w], and features have to be float32"
        )
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last:
        raise InvalidUpload(
            f"has the shape {shape}, where both the second and the last axis could be channels; "
            "save grey images as [n, h, w], or all images in a .zip"
        )
    if not first and not last:
        raise InvalidUpload(
            f"has the shape {shape}, where no axis has 1 or 3 channels; leave out others, such as alpha"
        )
    return array if first else array.transpose(0, 3, 1, 2)


def check_values(array: NDArray[Any]) -> None:
    """Returns where all values can be stored and not all samples are alike.

    Raises:
        InvalidUpload: they cannot, or are; it names the first sample that is not finite.
    """
    first: NDArray[Any] | None = None
    all_alike, done = True, 0
    for block in blocks(array):
        first = block[:1].copy() if first is None else first
        if block.dtype != np.uint8:
            finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
            if not finite.all():
                where = done + int(np.argmin(finite))
                raise InvalidUpload(f"sample {where} (from 0) has a value that is not finite in float32; leave it out")
        all_alike = all_alike and bool((block == first).all())
        done += len(block)
    if all_alike:
        raise InvalidUpload("all samples are equal; send samples that differ")


def stored_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What values of that type are stored as: uint8 or little-endian float32."""
    return np.dtype(np.uint8 if dtype == np.uint8 else "<f4")


def blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The samples in order, some megabytes at a time, as they are stored."""
    rows = max(1, BLOCK_BYTES // max(1, array[:1].size * 4))
    for start in range(0, len(array), rows):
        with np.errstate(over="ignore"):  # to infinity, which `check_values` finds
            yield np.ascontiguousarray(array[start : start + rows], dtype=stored_type(array.dtype))


def save_npy(array: NDArray[Any], file: BinaryIO) -> None:
    """Writes the samples as an .npy file, in C order, block by block."""
    header = {"descr": stored_type(array.dtype).str, "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(file, header)
    for block in blocks(array):
        file.write(block.data)
