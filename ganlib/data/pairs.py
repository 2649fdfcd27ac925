"""Uploaded pairs: pictures of two folders that have the same names, or arrays whose rows belong together.

As samples, all of one folder come before all of the other, in the same order: of n pairs the i-th is (i, n + i).
"""

import posixpath
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.data.resize import cut
from ganlib.data.samples import BLOCK_BYTES, InvalidUpload, Limits, ReadSamples, as_samples, blocks

COLOURS = 3
HOW = "pack two folders whose pictures have the same names, as A/1.png and B/1.png"
SPLITS = {"train", "test", "val", "valid", "validation"}
"""Folders whose pictures of one name are not partners."""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of an archive, as it was packed."""

    name: str
    size: tuple[int, ...]
    """Height and width."""
    is_grey: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Which pictures belong together."""

    folders: tuple[str, str]
    """In the order of their names."""
    numbers: tuple[tuple[int, ...], tuple[int, ...]]
    """[2][n] pictures of the first and of the second folder, in the order of their names."""


def matched(names: Sequence[str]) -> Matched:
    """The pairs of pictures in two folders: partners have the same path in their folder, whatever its ending.

    Raises:
        InvalidUpload: there are not two folders, or a picture has no partner or more than one; it names the picture.
    """
    found = _in_folders(names)
    if len(found) != 2:
        shown = ", ".join(f"{folder!r:.40}" for folder in sorted(found)[:5])
        raise InvalidUpload(f"has pictures in {len(found)} folders ({shown}), which are no pairs; {HOW}")
    (one, first), (other, second) = sorted(found.items())
    if {one.lower(), other.lower()} <= SPLITS:
        raise InvalidUpload(f"has the folders {one!r:.40} and {other!r:.40}, which are no inputs and targets; {HOW}")
    if not first.keys() & second.keys():
        example = names[first[min(first)]]
        raise InvalidUpload(
            f"holds no pairs: {example!r:.100} has no partner in {other!r:.40}, nor has any other; {HOW}"
        )
    _check_partners(names, (one, first), (other, second))
    order = sorted(first)
    return Matched(
        folders=(one, other), numbers=(tuple(first[key] for key in order), tuple(second[key] for key in order))
    )


def _in_folders(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Folder → path in it, without its ending → the picture's number."""
    paths = [posixpath.normpath(name.replace("\\", "/")) for name in names]
    above = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    found: dict[str, dict[str, int]] = {}
    for number, path in enumerate(paths):
        folder, _, inner = posixpath.relpath(path, above or ".").partition("/")
        if not inner:
            raise InvalidUpload(f"{names[number]!r:.100} lies in the only folder, or in none; {HOW}")
        key = unicodedata.normalize("NFC", posixpath.splitext(inner)[0])  # Macs pack ü as two letters
        same = found.setdefault(folder, {}).setdefault(key, number)
        if same != number:
            raise InvalidUpload(f"{names[same]!r:.100} and {names[number]!r:.100} have one name; keep one of them")
    return found


def _check_partners(names: Sequence[str], *folders: tuple[str, Mapping[str, int]]) -> None:
    for (_, numbers), (other, partners) in (folders, folders[::-1]):
        alone = sorted(numbers.keys() - partners.keys())
        if alone:
            which = f"{names[numbers[alone[0]]]!r:.100} has no partner in {other!r:.40}"
            count = f", and {len(alone) - 1} more have none" if len(alone) > 1 else ""
            raise InvalidUpload(f"{which}{count}; add one of the same name, or leave it out")


def pictures_in_pairs(pixels: Pixels, pictures: Sequence[Picture], limits: Limits) -> ReadSamples:
    """Pictures [n, 3, height, width] as pairs; of one channel where all are grey.

    Raises:
        InvalidUpload: they are no pairs, too few, or partners had different sizes, so that they were not cut alike.
    """
    found = matched([picture.name for picture in pictures])
    for first, second in zip(*found.numbers, strict=True):
        one, other = pictures[first], pictures[second]
        if one.size != other.size:
            raise InvalidUpload(
                f"{other.name!r:.100} has {other.size[1]} x {other.size[0]} pixels, its partner {one.name!r:.100} "
                f"{one.size[1]} x {one.size[0]}; partners need the same size, as both are cut alike"
            )
    channels = 1 if all(picture.is_grey for picture in pictures) else COLOURS
    order = np.array(found.numbers).reshape(-1)
    rows = max(1, BLOCK_BYTES // max(1, pixels[:1].size))
    parts = (pixels[order[start : start + rows], :channels] for start in range(0, len(order), rows))
    return _samples(found.folders, parts, (len(order), channels, *pixels.shape[2:]), limits)


def arrays_in_pairs(arrays: Mapping[str, NDArray[Any]], limits: Limits, side: int | None) -> ReadSamples:
    """Two arrays of images as pairs, row by row; cut to `side` where it is given.

    Raises:
        InvalidUpload: they are not two of as many images of one size.
    """
    if len(arrays) != 2:
        raise InvalidUpload(f"holds {len(arrays)} arrays; pairs need two, as A and B, whose rows belong together")
    for name, array in arrays.items():
        if array.dtype != np.uint8:
            raise InvalidUpload(f"has floats in {name!r:.40}; pairs are images, as bytes (uint8, 0 to 255)")
    (one, first), (other, second) = sorted((name, as_samples(array, limits).array) for name, array in arrays.items())
    if len(first) != len(second) or first.shape[2:] != second.shape[2:]:
        raise InvalidUpload(
            f"has {_words(first)} in {one!r:.40} and {_words(second)} in {other!r:.40}; each row needs its partner, of "
            "the same size, in the other array"
        )
    channels = max(first.shape[1], second.shape[1])
    shape = (2 * len(first), channels, *((side, side) if side is not None else first.shape[2:]))
    parts = (
        cut(in_colours(block, channels), crop=side is not None, side=side)
        for images in (first, second)
        for block in blocks(images)
    )
    return _samples((one, other), parts, shape, limits)


def in_colours(images: Pixels, channels: int = COLOURS) -> Pixels:
    """Images [..., channels, height, width]: grey ones with as many equal channels."""
    return np.repeat(images, channels // images.shape[-3], axis=-3)


def _words(images: Pixels) -> str:
    return f"{len(images)} images of {images.shape[3]} x {images.shape[2]} pixels"


def _samples(folders: tuple[str, str], parts: Iterable[Pixels], shape: tuple[int, ...], limits: Limits) -> ReadSamples:
    """Pairs in a scratch file."""
    count, fewest = shape[0] // 2, limits.min_samples
    if count < 2 * fewest:
        raise InvalidUpload(
            f"holds {count} pairs; at least {2 * fewest} are needed, {fewest} to train on and {fewest} to hold out"
        )
    limits.check_unpacked(int(np.prod(shape)), int(np.prod(shape)))
    with tempfile.TemporaryFile(dir=limits.scratch) as file:
        for part in parts:
            file.write(part.tobytes())
        file.flush()
        array: Pixels = np.memmap(file, dtype=np.uint8, mode="r", shape=shape)
    labels = np.repeat(np.arange(2, dtype=np.int64), count)
    return ReadSamples(array=as_samples(array, limits).array, labels=labels, class_names=folders)
