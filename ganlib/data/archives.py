"""Files of samples from outside: .npy, .npz, and .zip, .tar or .tar.gz of pictures. Imports no torch.

    samples = read_samples(path, Limits())

A file is taken for what it begins with, whatever its name. Nothing in it is believed: sizes are checked before they
are read, and names lead nowhere, as no entry is ever written under its own.
"""

import errno
import gzip
import math
import os
import posixpath
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ganlib.data.array_files import MAGIC, read_npy, read_npz
from ganlib.data.pairs import Picture, arrays_in_pairs, in_colours, pictures_in_pairs
from ganlib.data.picture_files import FORMATS, Convert, NoPicture, decode
from ganlib.data.resize import cut
from ganlib.data.samples import InvalidUpload, Limits, ReadSamples, as_samples, blocks, save_npy

__all__ = ["DifferentSizes", "InvalidUpload", "Limits", "ReadSamples", "read_samples", "save_npy"]

ACCEPTED = ".npy, .npz, .zip, .tar and .tar.gz"
OF_TORCH = (
    f"is not one of the files that are read: {ACCEPTED}; what torch.save or pickle writes is never unpickled: "
    "numpy.save('samples.npy', tensor.numpy())"
)
PICKLE = b"\x80"
ENTRY_BYTES = 128 * 1024**2  # one picture, packed: it is read into memory
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RecursionError,
)
"""What the standard library raises where an archive is damaged."""


class DifferentSizes(InvalidUpload):
    """Pictures of an archive have different sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is to be made of a file."""

    limits: Limits
    side: int | None
    """Pixels a side that images are cut to; None: they stay as they are."""
    pairs: bool
    """Whether it has to hold pairs."""
    convert: Convert | None
    """What the colours of every picture become; None: they stay as they are, and have to be the same."""
    begin: Callable[[str], None] | None
    """Called with the name of each picture before it is decoded."""


def read_samples(
    source: Path | BinaryIO,
    limits: Limits,
    image_size: int | None = None,
    *,
    pairs: bool = False,
    convert: Convert | None = None,
    begin: Callable[[str], None] | None = None,
) -> ReadSamples:
    """The samples in a file, or in an open one.

    Pictures are taken as a viewer shows them: turned as their EXIF orientation says, what is transparent on white, 16
    bits a pixel as 8. They need to be all grey or all coloured, unless `convert` makes them so, and of the same size;
    with an `image_size` they may have any, and the centre square of each is resized to so many pixels a side. The
    folder that a picture lies in names its class, where there are several.

    Of `pairs` a file has to hold two folders with pictures of the same names, or two arrays (`ganlib.data.pairs`);
    pictures may then be grey in one folder and coloured in the other.

    `begin` is called with the name of each picture before it is decoded.

    Raises:
        DifferentSizes: pictures have different sizes, and no `image_size` is given; it names the first that differs.
        InvalidUpload: it holds none that can be used, or more than the limits allow.
    """
    with ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        file.seek(0)
        start = file.read(512)
        read = next((READERS[kind] for kind, begins in SIGNS.items() if begins(start)), None)
        if read is None and start.startswith(PICKLE):
            raise InvalidUpload(OF_TORCH)
        if read is None:
            raise InvalidUpload(f"is not one of the files that are read: {ACCEPTED}")
        try:
            return read(file, _Wanted(limits=limits, side=image_size, pairs=pairs, convert=convert, begin=begin))
        except InvalidUpload:
            raise
        except BROKEN as error:
            raise InvalidUpload(f"is damaged ({str(error)[:100] or type(error).__name__}); make it again") from None
        except OSError as error:
            if error.errno != errno.EINVAL:  # as of a seek to a place that only a damaged archive names
                raise
            raise InvalidUpload("is damaged; make it again") from None


def _fitted(samples: ReadSamples, limits: Limits, side: int | None) -> ReadSamples:
    """An array's samples, where there is a `side` resized to it; they then lie in a scratch file."""
    if side is None:
        return samples
    if samples.array.dtype != np.uint8:
        raise InvalidUpload("holds floats, which have no pixels to resize; leave image_size out")
    shape = (*samples.array.shape[:2], side, side)
    limits.check_unpacked(math.prod(shape), samples.array.nbytes)
    with tempfile.TemporaryFile(dir=limits.scratch) as file:
        for block in blocks(samples.array):
            file.write(cut(block, crop=True, side=side).tobytes())
        file.flush()
        return ReadSamples(array=np.memmap(file, dtype=np.uint8, mode="r", shape=shape))


# --- pictures ---------------------------------------------------------------------------------------------------


def _pictures(entries: Iterable[tuple[str, bytes]], packed: int, wanted: _Wanted) -> ReadSamples:
    """The pictures of an archive of `packed` bytes, as they come."""
    limits = wanted.limits
    with tempfile.TemporaryFile(dir=limits.scratch) as file:
        pictures, shape = _unpack(entries, file, packed, wanted)
        file.flush()
        array: NDArray[np.uint8] = np.memmap(file, dtype=np.uint8, mode="r", shape=(len(pictures), *shape))
    if wanted.pairs:
        return pictures_in_pairs(array, pictures, limits)
    labels, class_names = _classes([picture.name for picture in pictures])
    return ReadSamples(array=as_samples(array, limits).array, labels=labels, class_names=class_names)


def _unpack(
    entries: Iterable[tuple[str, bytes]], file: BinaryIO, packed: int, wanted: _Wanted
) -> tuple[list[Picture], tuple[int, ...]]:
    """Writes the pixels of every picture, those of pairs in colours; the pictures, and the shape of each."""
    pictures: list[Picture] = []
    shape: tuple[int, ...] = ()
    kept = 0
    for name, content in entries:
        if wanted.begin is not None:
            wanted.begin(name)
        pixels = _decode(name, content, wanted)
        pictures.append(Picture(name=name, size=pixels.shape[1:], is_grey=len(pixels) == 1))
        if wanted.side is not None:
            pixels = cut(pixels[None], crop=True, side=wanted.side)[0]
        kept += pixels.size
        pixels = in_colours(pixels) if wanted.pairs else pixels
        shape = shape or pixels.shape
        if pixels.shape != shape:
            error, what = (DifferentSizes, "size") if pixels.shape[1:] != shape[1:] else (InvalidUpload, "colours")
            raise error(
                f"{name!r:.100} is {_words(pixels.shape)}, {pictures[0].name!r:.100} is {_words(shape)}; "
                f"all pictures need the same {what}{'' if what == 'size' else ', or convert to grey or rgb'}"
            )
        wanted.limits.check_unpacked(kept, packed)
        file.write(pixels.tobytes())
    if not pictures:
        raise InvalidUpload(f"holds no pictures ({', '.join(FORMATS)})")
    return pictures, shape


def _words(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width} x {height} pixels, {'grey' if channels == 1 else 'coloured'}"


def _decode(name: str, content: bytes, wanted: _Wanted) -> NDArray[np.uint8]:
    """A picture's pixels [channels, height, width]; what is wrong with it is told together with its name."""
    try:
        return decode(content, wanted.limits, wanted.convert)
    except NoPicture as error:
        is_nested = any(begins(content) for begins in SIGNS.values())
        problem = (
            "is itself an archive or an array; put the pictures right into one archive" if is_nested else str(error)
        )
    except InvalidUpload as error:
        problem = str(error)
    raise InvalidUpload(f"{name!r:.100} {problem}")


def _classes(names: list[str]) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    folders = [posixpath.dirname(posixpath.normpath(name)) for name in names]
    if len(set(folders)) == 1:
        return None, ()
    common = posixpath.commonpath(set(folders))
    classes, labels = np.unique(
        [posixpath.relpath(folder or ".", common or ".") for folder in folders], return_inverse=True
    )
    return labels.astype(np.int64), tuple(str(name) for name in classes)


# --- archives ---------------------------------------------------------------------------------------------------


def _is_wanted(name: str) -> bool:
    """Whether the entry is one for people, not a hidden file or what a Mac leaves in archives.

    Raises:
        InvalidUpload: its name leads out of the archive.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
        raise InvalidUpload(f"{name!r:.100} leads out of the archive; pack the folder with relative names")
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.entries:
        raise InvalidUpload(f"has more than {limits.entries:,} entries; send fewer samples, or an array as .npy")


def _check_entry(name: str, size: int) -> None:
    if size > ENTRY_BYTES:
        raise InvalidUpload(f"{name!r:.100} has {size:,} bytes; a picture may have {ENTRY_BYTES:,}")


def _read_npy(file: BinaryIO, wanted: _Wanted) -> ReadSamples:
    if wanted.pairs:
        raise InvalidUpload("is one array; pairs need two, in an .npz file, or two folders in an archive")
    return _fitted(as_samples(read_npy(file, wanted.limits), wanted.limits), wanted.limits, wanted.side)


def _read_zip(file: BinaryIO, wanted: _Wanted) -> ReadSamples:
    limits = wanted.limits
    packed = file.seek(0, os.SEEK_END)
    _check_count(_count_of_zip(file, limits.entries), limits)
    with zipfile.ZipFile(file) as archive:
        entries = [info for info in archive.infolist() if _is_wanted(info.filename) and not info.is_dir()]
        if any(PurePosixPath(info.filename).name == "data.pkl" for info in entries):
            raise InvalidUpload(OF_TORCH)
        for info in entries:
            _check_zip_entry(info)
        limits.check_unpacked(sum(info.file_size for info in entries), packed)
        if entries and _begins_with_array(archive, entries[0]):
            return _arrays_of_zip(archive, entries, wanted)
        return _pictures(_contents_of_zip(archive, entries), packed, wanted)


def _arrays_of_zip(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], wanted: _Wanted) -> ReadSamples:
    limits = wanted.limits
    if not wanted.pairs:
        return _fitted(as_samples(read_npz(archive, entries, limits), limits), limits, wanted.side)
    arrays = {entry.filename.removesuffix(".npy"): read_npz(archive, [entry], limits) for entry in entries[:3]}
    return arrays_in_pairs(arrays, limits, wanted.side)


def _check_zip_entry(info: zipfile.ZipInfo) -> None:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InvalidUpload(f"{info.filename!r:.100} is a link; pack the files themselves")
    if info.flag_bits & 1:
        raise InvalidUpload(f"{info.filename!r:.100} is encrypted; pack it without a password")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise InvalidUpload(f"{info.filename!r:.100} is packed in an unusual way; pack it with deflate, or not at all")


def _begins_with_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    with archive.open(info) as member:
        return member.read(len(MAGIC)) == MAGIC


def _contents_of_zip(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[tuple[str, bytes]]:
    for info in entries:
        _check_entry(info.filename, info.file_size)
        yield info.filename, archive.read(info)


def _count_of_zip(file: BinaryIO, most: int) -> int:
    """Entries of the archive, counted up to one more than `most`: its own count may lie, and `ZipFile` reads all."""
    size = file.seek(0, os.SEEK_END)
    tail_at = max(0, size - 65_557)  # the longest comment and the record before it
    file.seek(tail_at)
    tail = file.read()
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) < found + 22:
        raise zipfile.BadZipFile("its end is missing")
    (length,) = struct.unpack_from("<L", tail, found + 12)
    end = tail_at + found
    if found >= 76 and tail[found - 20 : found - 16] == b"PK\6\7":  # the end of a large archive, and where to find it
        (length,) = struct.unpack_from("<Q", tail, found - 76 + 40)
        end -= 76
    return _count_headers(file, end - length, end, most)


def _count_headers(file: BinaryIO, start: int, end: int, most: int) -> int:
    count = 0
    if start < 0:
        raise zipfile.BadZipFile("its list of entries is missing")
    while start < end and count <= most:
        file.seek(start)
        name, extra, comment = struct.unpack("<28x3H12x", file.read(46))
        start += 46 + name + extra + comment
        count += 1
    return count


def _read_tar(file: BinaryIO, wanted: _Wanted) -> ReadSamples:
    packed = file.seek(0, os.SEEK_END)
    file.seek(0)
    return _pictures(_contents_of_tar(file, packed, wanted.limits), packed, wanted)


def _read_tar_gz(file: BinaryIO, wanted: _Wanted) -> ReadSamples:
    packed = file.seek(0, os.SEEK_END)
    file.seek(0)
    with gzip.GzipFile(fileobj=file) as unpacked:
        return _pictures(_contents_of_tar(cast(BinaryIO, unpacked), packed, wanted.limits), packed, wanted)


def _contents_of_tar(file: BinaryIO, packed: int, limits: Limits) -> Iterator[tuple[str, bytes]]:
    bounded: Any = _Bounded(file, packed, limits)
    with tarfile.open(fileobj=bounded, mode="r:") as archive:
        for count, member in enumerate(archive, 1):
            _check_count(count, limits)
            if not _is_wanted(member.name) or member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise InvalidUpload(f"{member.name!r:.100} is a link or no ordinary file; pack the files themselves")
            _check_entry(member.name, member.size)
            content = archive.extractfile(member)
            assert content is not None, "an ordinary file has content"
            yield member.name, content.read()


class _Bounded:
    """A file that is read forwards, never further or in larger parts than the limits allow."""

    def __init__(self, file: BinaryIO, packed: int, limits: Limits) -> None:
        self._file, self._packed, self._limits = file, packed, limits

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> int:
        if position < self._file.tell():
            raise tarfile.TarError("an entry refers back")
        self._limits.check_unpacked(position, self._packed)
        return self._file.seek(position)

    def read(self, size: int) -> bytes:
        if not 0 <= size <= ENTRY_BYTES:
            raise tarfile.TarError("an entry is too large")
        self._limits.check_unpacked(self._file.tell() + size, self._packed)
        return self._file.read(size)


SIGNS: dict[str, Callable[[bytes], bool]] = {
    "npy": lambda start: start.startswith(MAGIC),
    "zip": lambda start: start.startswith((b"PK\3\4", b"PK\5\6")),
    "tar.gz": lambda start: start.startswith(b"\x1f\x8b"),
    "tar": lambda start: start[257:262] == b"ustar",
}
READERS: dict[str, Callable[[BinaryIO, _Wanted], ReadSamples]] = {
    "npy": _read_npy,
    "zip": _read_zip,
    "tar.gz": _read_tar_gz,
    "tar": _read_tar,
}
