# pyright: standard
"""Samples as trainers leave them: folders of pictures, one picture that is a grid of them, and tensors in .pt files.

Nothing is unpickled: torch reads tensors with `weights_only`, which builds nothing but tensors and plain containers.
"""

import io
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganlib.data.samples import InvalidUpload, Limits, check_header

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"BM")
WIDEST_GAP = 8
"""Pixels between tiles, at most; torchvision's save_image leaves 2."""
NAMES = ("samples", "images", "fakes", "fake", "x")
"""What a tensor is looked for as, where a file holds several."""
Array = NDArray[Any]


def is_picture(start: bytes) -> bool:
    """Whether a file that begins so is a picture."""
    return start.startswith(MAGICS)


def read_folder(folder: Path, limits: Limits) -> Array:
    """[n, channels, height, width] uint8: each picture in the folder and below, in the order of their names.

    Raises:
        InvalidUpload: there is none, one is damaged, or they are not of one size.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not paths:
        raise InvalidUpload(f"holds no pictures; there may be {', '.join(sorted(SUFFIXES))}")
    if len(paths) > limits.entries:
        raise InvalidUpload(f"holds {len(paths):,} pictures; allowed: {limits.entries:,}")
    first = read_picture(paths[0], limits)
    limits.check_unpacked(len(paths) * first.nbytes, len(paths) * first.nbytes)
    samples = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for at, path in enumerate(paths):
        picture = read_picture(path, limits)
        if picture.shape != first.shape:
            raise InvalidUpload(
                f"holds pictures of different sizes: {paths[0].name} is {_size(first)}, {path.name} {_size(picture)}"
            )
        samples[at] = picture
    return _as_grey(samples)


def read_picture(path: Path, limits: Limits) -> NDArray[np.uint8]:
    """[3, height, width] of one picture.

    Raises:
        InvalidUpload: it is damaged or too large.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > limits.pixels:
                raise InvalidUpload(f"is {image.width} x {image.height}; allowed: {limits.pixels:,} pixels")
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, InvalidUpload):
            raise
        raise InvalidUpload(f"is damaged ({path.name}: {str(error)[:100]})") from None


def read_grid(path: Path, size: tuple[int, int], limits: Limits) -> Array:
    """[n, channels, height, width] uint8: the tiles of a grid, row by row, without the empty ones at its end.

    `size` is the height and width of a tile; the gap between tiles is found. Tiles may all be of one colour, as those
    of a generator that has collapsed.

    Raises:
        InvalidUpload: no gap parts the picture into such tiles.
    """
    picture = read_picture(path, limits)
    gap = _gap(picture, size)
    if gap is None:
        raise InvalidUpload(
            f"is {_size(picture)}, which no grid of {size[1]} x {size[0]} tiles is; say the size of one: --tile PIXELS"
        )
    high, wide = size
    tops = range(gap, picture.shape[1] - high + 1, high + gap)
    lefts = range(gap, picture.shape[2] - wide + 1, wide + gap)
    tiles = np.stack([picture[:, top : top + high, left : left + wide] for top in tops for left in lefts])
    return _as_grey(tiles[: len(tiles) - _empty_at_end(tiles, len(lefts), picture[:, 0, 0] if gap else None)])


def _empty_at_end(tiles: NDArray[np.uint8], columns: int, background: NDArray[np.uint8] | None) -> int:
    """How many tiles of the last row, and no more, were left empty: in the colour between tiles, or in black or white.

    Where the row before ends in the same colour, that is what the samples are.
    """
    colours = [background] if background is not None else [np.zeros(3, np.uint8), np.full(3, 255, np.uint8)]
    of_one = [any((tile == colour[:, None, None]).all() for colour in colours) for tile in tiles[-columns - 1 :]]
    empty = next((at for at, is_empty in enumerate(reversed(of_one)) if not is_empty), len(of_one))
    return empty if empty < min(columns, len(tiles)) else 0


def found_tile(path: Path, limits: Limits) -> tuple[int, int] | None:
    """Height and width of a tile, by the lines of one colour that part a grid; None where there are none such.

    Raises:
        InvalidUpload: the picture is damaged or too large.
    """
    picture = read_picture(path, limits)
    is_line = (picture == picture[:, :1, :1]).all(axis=0)
    sides = [_side_between(is_line.all(axis=axis)) for axis in (1, 0)]
    high, wide = sides
    return None if high is None or wide is None or _gap(picture, (high, wide)) is None else (high, wide)


def _side_between(lines: NDArray[np.bool_]) -> int | None:
    """How many pixels there are from each line of one colour to the next; None where lines do not part them evenly."""
    at = np.flatnonzero(lines)
    gaps = np.diff(at) - 1
    sides = set(gaps[gaps > 0].tolist())
    return sides.pop() if len(sides) == 1 and lines[0] and lines[-1] else None


def _gap(picture: NDArray[np.uint8], size: tuple[int, int]) -> int | None:
    """Pixels between tiles: as many as part both sides evenly and are all of one colour, or none where that is even.

    A picture of one colour has no lines that could be seen; how many samples it holds does not matter then.
    """
    lengths = picture.shape[1:]
    gaps = range(WIDEST_GAP + 1) if (picture == picture[:, :1, :1]).all() else range(WIDEST_GAP, -1, -1)
    for gap in gaps:
        even = all((length - gap) % (side + gap) == 0 for length, side in zip(lengths, size, strict=True))
        several = lengths[0] * lengths[1] > size[0] * size[1]
        if even and several and (gap == 0 or _is_one_colour(picture, size, gap)):
            return gap
    return None


def _is_one_colour(picture: NDArray[np.uint8], size: tuple[int, int], gap: int) -> bool:
    """Whether all that lies between tiles is."""
    between = np.zeros(picture.shape[1:], dtype=np.bool_)
    for offset in range(gap):
        between[offset :: size[0] + gap] = True
        between[:, offset :: size[1] + gap] = True
    colours = picture[:, between]
    return bool((colours == colours[:, :1]).all())


def _as_grey(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With one channel where all three are the same."""
    alike = (samples[:, 0] == samples[:, 1]).all() and (samples[:, 0] == samples[:, 2]).all()
    return samples[:, :1] if alike else samples


def _size(picture: NDArray[np.uint8]) -> str:
    return f"{picture.shape[2]} x {picture.shape[1]}"


# --- tensors ----------------------------------------------------------------------------------------------------


def read_tensor(path: Path, limits: Limits) -> Array:
    """The one tensor of a .pt file, or the one that is called as `NAMES` says.

    Raises:
        InvalidUpload: there is none, or the file holds what would have to be unpickled.
    """
    import torch

    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that torch did not write
            held = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, AttributeError, ValueError, IndexError):
        raise InvalidUpload(
            "holds more than tensors, or is damaged: it is a pickle, which could run any code and is not read; save "
            "one tensor with torch.save(samples.cpu(), …), or an array with numpy.save"
        ) from None
    tensors = dict(_tensors(held, ""))
    named = [tensor for name, tensor in tensors.items() if name in NAMES]
    chosen = list(tensors.values()) if len(tensors) == 1 else named
    if len(chosen) != 1:
        shown = ", ".join(map(repr, list(tensors)[:5])) or "none"
        raise InvalidUpload(f"holds the tensors {shown}; save one, or call one of them {' or '.join(NAMES)}")
    tensor = chosen[0]
    array = (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy()
    check_header(array.shape, array.dtype, limits)
    return array


def _tensors(held: Any, name: str) -> Iterator[tuple[str, Any]]:
    import torch

    if isinstance(held, torch.Tensor):
        yield name, held
    elif isinstance(held, Mapping):
        for key, value in held.items():
            yield from _tensors(value, str(key))
    elif isinstance(held, Sequence) and not isinstance(held, str | bytes):
        for at, value in enumerate(held):
            yield from _tensors(value, f"{name}[{at}]")
